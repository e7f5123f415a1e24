// The first container to run, and one that ends: makes the authority, certificates and secrets where they are missing
// or near their end, and hands each container the few that it may read. Doing it again changes nothing. Needs root for
// the owners of files alone; talks to nobody.
import { chmod, chown, copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { functionsThatCallNodes } from '../../../contracts/topology.ts';
import { openAuthority, type Authority } from '../../instance/authority.ts';
import { openCredentials, type LocalCredentials } from '../../instance/credentials.ts';
import { certificateNames } from '../mounted.ts';
import { brokerConfiguration } from './broker-configuration.ts';
import { handOuts, type HandOut } from './hand-outs.ts';

const kept = { tls: '/authority/tls', secrets: '/authority/secrets' };
const handedTo = (container: string): string => join('/hand-out', container);

for (const folder of Object.values(kept)) await mkdir(folder, { recursive: true, mode: 0o700 });
const credentials = await openCredentials(kept.secrets);
const named = handOuts.filter(({ certificate }) => certificate).map(({ container }) => container);
const authority = await openAuthority(kept.tls, [...named, ...functionsThatCallNodes]);
for (const handOut of handOuts) await give(handOut, authority, credentials);
process.stdout.write(`certificates and secrets for ${handOuts.length} containers are there\n`);

async function give(to: HandOut, { caFile, leaf }: Authority, secrets: LocalCredentials): Promise<void> {
  const files = new Map<string, (part: string) => Promise<void>>();
  const copy = (name: string, from: string) => files.set(name, (part) => copyFile(from, part));
  copy(certificateNames.ca, caFile);
  if (to.certificate) {
    copy(certificateNames.cert, leaf(to.container).certFile);
    copy(certificateNames.key, leaf(to.container).keyFile);
  }
  for (const key of to.secrets) copy(basename(secrets[key].file), secrets[key].file);
  if (to.callers)
    for (const name of functionsThatCallNodes) {
      copy(`${name}.pem`, leaf(name).certFile);
      copy(`${name}.key`, leaf(name).keyFile);
    }
  // Handed out as well, since whose checkout it is may let nobody else read it.
  if (to.container === 'database')
    for (const name of ['pg_hba.conf', 'role.sh']) copy(name, join(import.meta.dirname, '../database', name));
  if (to.container === 'broker') {
    const { username, password } = secrets.broker;
    files.set('rabbitmq.conf', (part) => writeFile(part, brokerConfiguration({ username, password })));
  }

  const folder = handedTo(to.container);
  for (const name of await readdir(folder)) if (!files.has(name)) await rm(join(folder, name));
  for (const [name, write] of files) {
    const part = join(folder, `${name}.part`);
    await write(part);
    await chmod(part, name.endsWith('.sh') ? 0o500 : 0o400);
    await chown(part, to.uid, to.uid);
    // Whole or not at all: a container that runs already reads them again when it likes.
    await rename(part, join(folder, name));
  }
  await chmod(folder, 0o500);
  await chown(folder, to.uid, to.uid);
}
