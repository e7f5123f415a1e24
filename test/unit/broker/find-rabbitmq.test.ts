// Where a RabbitMQ of this machine is found: as Debian, Homebrew and an unpacked archive put it, and never a wrapper.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findRabbitmq } from '../../../emulator/services/rabbitmq/rabbitmq.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-rabbitmq-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function installed(prefix: string, version: string): Promise<string> {
  const sbin = join(folder, prefix, 'sbin');
  await mkdir(join(folder, prefix, 'plugins', `rabbit-${version}`), { recursive: true });
  await mkdir(sbin);
  await writeFile(join(sbin, 'rabbitmq-server'), '#!/bin/sh\n', { mode: 0o755 });
  return sbin;
}
async function linked(name: string, to: string): Promise<string> {
  await mkdir(join(folder, name), { recursive: true });
  await symlink(to, join(folder, name, 'rabbitmq-server'));
  return join(folder, name);
}

test('behind a link, as Homebrew and Debian have it', async () => {
  const sbin = await installed('Cellar/rabbitmq/4.1.3', '4.1.3');
  const bin = await linked('opt/sbin', join(sbin, 'rabbitmq-server'));
  expect(findRabbitmq([join(folder, 'nowhere'), bin])).toEqual({
    program: join(bin, 'rabbitmq-server'),
    version: '4.1.3',
  });
});

test('where it was unpacked; of two the first', async () => {
  const [one, two] = [await installed('one', '4.0.5'), await installed('two', '3.13.7')];
  expect(findRabbitmq([one, two])?.version).toBe('4.0.5');
});

test('a wrapper is none: it would start another one, as a user of its own', async () => {
  await mkdir(join(folder, 'lib/bin'), { recursive: true });
  await writeFile(join(folder, 'lib/bin/rabbitmq-script-wrapper'), '#!/bin/sh\n', { mode: 0o755 });
  const sbin = await linked('usr/sbin', join(folder, 'lib/bin/rabbitmq-script-wrapper'));
  expect(findRabbitmq([sbin])).toBeUndefined();
});
