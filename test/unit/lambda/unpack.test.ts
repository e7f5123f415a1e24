// A zip may not write outside of its folder, nor fill the disk.
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { strToU8, zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unpackFunction } from '../../../emulator/lambda/unpack.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-test-unpack-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function unpack(files: Record<string, Uint8Array>, bytesMax?: number): Promise<string> {
  const zipFile = join(folder, 'f.zip');
  await writeFile(zipFile, zipSync(files));
  return await unpackFunction({
    name: 'f',
    zipFile,
    parent: join(folder, 'in'),
    ...(bytesMax === undefined ? {} : { bytesMax }),
  });
}

describe('unpack', () => {
  it('files and folders are written', async () => {
    const root = await unpack({ 'index.mjs': strToU8('a'), 'deep/b.txt': strToU8('b') });
    expect(await readFile(join(root, 'deep', 'b.txt'), 'utf8')).toBe('b');
  });

  it.each(['../out.txt', 'a/../../out.txt', '/tmp/baton-out.txt', 'a\\..\\out.txt', '..'])(
    'the path %s is refused, and nothing is written',
    async (path) => {
      await expect(unpack({ [path]: strToU8('x') })).rejects.toThrow(/function f: .* leaves its folder/);
      await expect(access(join(folder, 'out.txt'))).rejects.toThrow('ENOENT');
    },
  );

  it('a zip that unpacks to more than its bound is refused before it is unpacked', async () => {
    const files = { small: strToU8('x'), zeros: new Uint8Array(100_000) };
    await expect(unpack(files, 100_000)).rejects.toThrow(/unpacks to more than 100000 bytes/);
    await expect(unpack(files, 100_001)).resolves.toContain('f-');
  });

  it('what is no zip is named', async () => {
    const zipFile = join(folder, 'no.zip');
    await writeFile(zipFile, 'no zip');
    await expect(unpackFunction({ name: 'f', zipFile, parent: folder })).rejects.toThrow(
      /^function f: .*no\.zip cannot be unpacked: /,
    );
  });
});
