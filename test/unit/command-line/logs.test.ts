// `baton logs` right after a file was begun anew still has the end of the earlier one.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { logs } from '../../../emulator/commands/logs.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-logs-'));
  await mkdir(join(folder, 'logs'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

test('the end of the earlier file comes before the lines of the present one', async () => {
  const earlier = Array.from({ length: 300 }, (_, index) => `line ${index}`).join('\n');
  await writeFile(join(folder, 'logs', 'ftp.log.1'), `${earlier}\n`);
  await writeFile(join(folder, 'logs', 'ftp.log'), 'newest\n');
  const printed: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  expect(await logs([], { data: folder })).toBe(0);
  expect(printed).toHaveLength(200);
  expect(printed.at(0)).toContain('| line 101');
  expect(printed.at(-1)).toContain('| newest');
});
