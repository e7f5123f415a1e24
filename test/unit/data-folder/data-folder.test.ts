// What a data folder holds and somebody broke: it is healed where that is safe, and else refused by the name of the file.
import { chown, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openAuthority } from '../../../emulator/instance/authority.ts';
import { openCredentials } from '../../../emulator/instance/credentials.ts';
import { layoutOf, makeLayout, readRecord, type Layout } from '../../../emulator/instance/instance.ts';
import { planMembership } from '../../../emulator/instance/membership.ts';
import { takeIdentityLock } from '../../../nodes/identity/identity-lock.ts';

let folder: string;
let layout: Layout;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-folder-'));
  layout = layoutOf(join(folder, 'data-folder'));
  await makeLayout(layout);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a secret that is', () => {
  test.each([
    ['cut off', 'tokens.json', '{'],
    ['empty', 'broker.json', ''],
    ['empty text', 'database-password', ''],
    ['of another kind', 'cluster-keys.json', '{"current":{"id":1}}'],
  ])('%s is named, and made anew once it is deleted', async (_kind, name, text) => {
    await openCredentials(layout.secrets);
    const file = join(layout.secrets, name);
    await writeFile(file, text);
    const refusal = await openCredentials(layout.secrets).catch(String);
    expect(refusal).toContain(`the secret ${file} is damaged: delete it`);
    await rm(file);
    await openCredentials(layout.secrets);
  });
});

describe('a key that is', () => {
  const isPair = async (name: string): Promise<boolean> => {
    const read = (extension: string) => readFile(join(layout.tls, `${name}.${extension}`), 'utf8');
    return new X509Certificate(await read('pem')).checkPrivateKey(createPrivateKey(await read('key')));
  };

  test.each([
    ['garbage', async () => 'garbage'],
    ["another leaf's", () => readFile(join(layout.tls, 'node-2.key'), 'utf8')],
  ])('%s is made anew with its certificate', async (_kind, broken) => {
    await openAuthority(layout.tls, ['node-1', 'node-2']);
    await writeFile(join(layout.tls, 'node-1.key'), await broken());
    await openAuthority(layout.tls, ['node-1', 'node-2']);
    expect(await isPair('node-1')).toBe(true);
  });

  test("the authority's takes all leaves with it", async () => {
    await openAuthority(layout.tls, ['node-1']);
    await writeFile(join(layout.tls, 'ca.key'), 'garbage');
    const { ca } = await openAuthority(layout.tls, ['node-1']);
    const leaf = new X509Certificate(await readFile(join(layout.tls, 'node-1.pem'), 'utf8'));
    expect(leaf.verify(new X509Certificate(ca).publicKey)).toBe(true);
    expect(await isPair('node-1')).toBe(true);
  });
});

describe('a folder', () => {
  test.skipIf(process.getuid?.() !== 0)('of another user is refused before anything is changed', async () => {
    await chown(layout.data(''), 12_345, 12_345);
    const before = await readdir(layout.root);
    await rm(layout.tls, { recursive: true });
    await expect(makeLayout(layout)).rejects.toThrow(
      `${layout.root} belongs to the user with id 12345, and this is root: start it as its owner`,
    );
    expect(await readdir(layout.root)).toEqual(before.filter((name) => name !== 'tls'));
  });

  test('that lost its secrets or certificates is still ours', async () => {
    await planMembership(layout, 3);
    await rm(layout.secrets, { recursive: true });
    await makeLayout(layout);
    expect(await readdir(layout.secrets)).toEqual([]);
  });

  test.skipIf(process.platform !== 'linux')(
    'that cannot be made is refused in the words of the system',
    async () => {
      await expect(makeLayout(layoutOf('/proc/baton/data'))).rejects.toThrow('cannot be made: name another');
    },
  );
});

// As in a folder of somebody else; who runs this may be root, who can read any file.
describe('what cannot be read', () => {
  test('of the membership is not taken for a fresh folder', async () => {
    await mkdir(layout.membership);
    await expect(planMembership(layout, undefined)).rejects.toThrow(`${layout.membership} cannot be read`);
    expect(await readdir(layout.membership)).toEqual([]);
  });

  test('of the record is not taken for nothing that runs', async () => {
    await mkdir(layout.record);
    await expect(readRecord(layout)).rejects.toThrow(`nobody can say what runs in ${layout.root}`);
  });
});

test('a damaged lock says what to do about it', async () => {
  const file = join(folder, 'identity.lock');
  await writeFile(file, 'garbage'.repeat(1_000));
  expect(() => takeIdentityLock({ dataDir: folder, nodeId: 'node-1' })).toThrow(
    `the lock ${file} is damaged: delete it`,
  );
  await rm(file);
  takeIdentityLock({ dataDir: folder, nodeId: 'node-1' })();
});
