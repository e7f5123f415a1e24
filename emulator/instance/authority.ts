// The certificate authority of a laptop and a leaf for each process, made at the first start and renewed before they
// end. There is no insecure mode: the same mutual TLS as on AWS, with the same code. Never leaves the data folder.
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeWhole } from '../../runtime/write-file.ts';
import { makeAuthority, makeLeaf, readCertificate, type KeyPair } from '../../runtime/certificates.ts';

export interface Leaf {
  readonly certFile: string;
  readonly keyFile: string;
  /** The same as file: URIs, as contracts/environment.ts wants them. */
  readonly certUri: string;
  readonly keyUri: string;
}
export interface Authority {
  readonly caFile: string;
  readonly caUri: string;
  /** PEM */
  readonly ca: string;
  readonly leaf: (name: string) => Leaf;
}

const day = 86_400_000;
const leafDays = 397; // What browsers and macOS accept at most.
const renewBeforeMs = 30 * day;
const hosts = ['localhost', '127.0.0.1'];

/** Makes or renews what is missing or near its end; an authority that is renewed takes all its leaves with it. */
export async function openAuthority(folder: string, names: readonly string[]): Promise<Authority> {
  const files = { certFile: join(folder, 'ca.pem'), keyFile: join(folder, 'ca.key') };
  const now = Date.now();
  let authority = await readPair(files, now + leafDays * day);
  if (!authority) {
    authority = await makeAuthority({ name: 'Baton local authority', now });
    await writePair(files, authority);
  }
  for (const name of names) {
    const leaf = await readPair(leafOf(folder, name), now + renewBeforeMs);
    if (!leaf || !isIssuedBy(leaf, authority))
      await writePair(leafOf(folder, name), await makeLeaf(authority, { name, hosts, days: leafDays, now }));
  }
  return {
    caFile: files.certFile,
    caUri: pathToFileURL(files.certFile).href,
    ca: authority.cert,
    leaf: (name) => leafOf(folder, name),
  };
}

interface PairFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

function leafOf(folder: string, name: string): Leaf {
  const certFile = join(folder, `${name}.pem`);
  const keyFile = join(folder, `${name}.key`);
  return { certFile, keyFile, certUri: pathToFileURL(certFile).href, keyUri: pathToFileURL(keyFile).href };
}

/** Undefined when it is missing, damaged, no pair, or ends before `goodUntil`: made anew as a pair. */
async function readPair({ certFile, keyFile }: PairFiles, goodUntil: number): Promise<KeyPair | undefined> {
  try {
    const [cert, key] = [await readFile(certFile, 'utf8'), await readFile(keyFile, 'utf8')];
    const certificate = readCertificate(cert);
    const isGood =
      certificate?.checkPrivateKey(createPrivateKey(key)) && Date.parse(certificate.validTo) > goodUntil;
    return isGood ? { cert, key } : undefined;
  } catch {
    return undefined;
  }
}

function isIssuedBy(leaf: KeyPair, authority: KeyPair): boolean {
  const issuer = readCertificate(authority.cert);
  return issuer !== undefined && (readCertificate(leaf.cert)?.verify(issuer.publicKey) ?? false);
}

/** The certificate last: with it the pair is whole. */
async function writePair({ certFile, keyFile }: PairFiles, { cert, key }: KeyPair): Promise<void> {
  await writeWhole(keyFile, key, { mode: 0o600, flush: true });
  await writeWhole(certFile, cert, { mode: 0o644, flush: true });
}
