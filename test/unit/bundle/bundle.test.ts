// Zips of functions: the same bytes for the same source, runnable, and errors that name what is missing.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleEntry } from '../../../functions/bundle.ts';

// Inside the repository, so that packages are found as from functions/.
const sources = fileURLToPath(new URL('../../../node_modules/.cache/baton-test-bundle', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-test-bundle-'));
  await mkdir(sources, { recursive: true });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await rm(sources, { recursive: true, force: true });
});
async function entry(name: string, text: string): Promise<string> {
  const file = join(sources, `${name}.ts`);
  await writeFile(file, text);
  return file;
}

describe('bundle', () => {
  it('the same source gives the same bytes in another folder and time zone; another source does not', async () => {
    const zone = process.env['TZ'];
    const file = await entry('same', 'export const handler = async (): Promise<number> => 1;');
    const first = await bundleEntry({ name: 'same', entryFile: file, zipFolder: join(folder, 'one') });
    process.env['TZ'] = 'Pacific/Auckland';
    const second = await bundleEntry({ name: 'same', entryFile: file, zipFolder: join(folder, 'two') });
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
    expect(second.sha256).toBe(first.sha256);
    expect((await readFile(second.zipFile)).equals(await readFile(first.zipFile))).toBe(true);
    await entry('same', 'export const handler = async (): Promise<number> => 2;');
    const other = await bundleEntry({ name: 'same', entryFile: file, zipFolder: join(folder, 'one') });
    expect(other.sha256).not.toBe(first.sha256);
    expect(other.zipFile).not.toBe(first.zipFile);
  });

  it('everything the functions use together fits into 1 MB and can be loaded on its own', async () => {
    const packages = {
      sqs: '@aws-sdk/client-sqs',
      dynamodb: '@aws-sdk/client-dynamodb',
      amqp: 'amqplib',
      ftp: 'basic-ftp',
      mail: 'nodemailer',
      log: 'pino',
      http: 'undici',
      schema: 'zod',
      html: 'htmlparser2',
    };
    const names = Object.keys(packages);
    const text = [
      ...Object.entries(packages).map(([name, path]) => `import * as ${name} from '${path}';`),
      `export const handler = async () => [${names.join(', ')}].map((found) => Object.keys(found).length > 0);`,
    ].join('\n');
    const bundle = await bundleEntry({ name: 'all', entryFile: await entry('all', text), zipFolder: folder });
    expect(bundle.bytes).toBeLessThan(1024 * 1024);
    const files = unzipSync(await readFile(bundle.zipFile));
    expect(Object.keys(files)).toEqual(['index.mjs']);
    const alone = join(folder, 'alone', 'index.mjs');
    await mkdir(join(folder, 'alone'));
    await writeFile(alone, files['index.mjs'] ?? '');
    const loaded = (await import(pathToFileURL(alone).href)) as { handler: () => Promise<boolean[]> };
    expect(await loaded.handler()).toEqual(names.map(() => true));
  });

  it('a zip that was spoilt in the folder is written anew', async () => {
    const file = await entry('spoilt', 'export const handler = async () => 1;');
    const first = await bundleEntry({ name: 'spoilt', entryFile: file, zipFolder: folder });
    await writeFile(first.zipFile, 'half');
    const second = await bundleEntry({ name: 'spoilt', entryFile: file, zipFolder: folder });
    expect((await readFile(second.zipFile)).length).toBe(first.bytes);
  });

  it('a missing entry and a missing import are named', async () => {
    await expect(
      bundleEntry({ name: 'mail', entryFile: join(sources, 'absent.ts'), zipFolder: folder }),
    ).rejects.toThrow(/^function mail has no entry: .*absent\.ts does not exist$/);
    const file = await entry(
      'loose',
      "import { a } from './nowhere.ts'; export const handler = async () => a;",
    );
    await expect(bundleEntry({ name: 'loose', entryFile: file, zipFolder: folder })).rejects.toThrow(
      /function loose cannot be bundled .*nowhere\.ts/s,
    );
  });
});
