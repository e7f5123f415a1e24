// What a log does when it cannot be written: it loses lines, says how many, and throws at nobody.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RotatingFile } from '../../../emulator/rotating-file.ts';

let root: string;
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'baton-log-'))));
afterEach(() => rm(root, { recursive: true, force: true }));

test('a file that grew long is kept as the earlier one', async () => {
  const log = new RotatingFile(join(root, 'a.log'), 5);
  for (const line of ['first', 'second', 'third']) log.line(line);
  log.close();
  expect(await readFile(join(root, 'a.log.1'), 'utf8')).toBe('second\n');
  expect(await readFile(join(root, 'a.log'), 'utf8')).toBe('third\n');
});

test('lines that cannot be written are counted, and named when it goes again', async () => {
  const folder = join(root, 'logs');
  await mkdir(folder);
  const log = new RotatingFile(join(folder, 'a.log'), 5);
  log.line('long enough');
  await rm(folder, { recursive: true });
  log.line('lost');
  log.line('lost, too');
  await mkdir(folder);
  log.line('back');
  log.close();
  expect(await readFile(join(folder, 'a.log'), 'utf8')).toBe('(2 lines could not be written here)\nback\n');
});

test.skipIf(!existsSync('/dev/full'))('a full disk throws at nobody', () => {
  const log = new RotatingFile('/dev/full');
  expect(() => log.line('lost')).not.toThrow();
  log.close();
});
