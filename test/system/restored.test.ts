// A laptop's database that comes from a backup, under nodes whose vote files are newer; and SQL by hand on the way.
import { execFile } from 'node:child_process';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const quiet = ['--no-demo', '--broker', 'development'];
let system: RunningSystem;
const sql = (statement: string) => system.baton('sql', statement);

beforeAll(async () => {
  system = await startRunningSystem(quiet);
});
afterAll(() => system?.close());

test('a statement runs in the database of the laptop, and one that fails says why', async () => {
  expect(await sql('SELECT 1 AS one, NULL AS none')).toEqual({
    code: 0,
    stdout: '{"one":1,"none":null}\n',
    stderr: '',
  });
  const { code, stderr } = await sql('SELECT * FROM nowhere');
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/"nowhere" does not exist/) });
});

test('with `up --restored` a database from before a change of the members is taken by its newer nodes', async () => {
  const postgres = join(system.folder, '.baton', 'data', 'postgres');
  const backup = join(system.folder, 'backup');
  const { stdout: before } = await sql('SELECT feed FROM feed_head');
  const startAgain = async (...args: string[]) => {
    system = await startRunningSystem([...quiet, ...args], { folder: system.folder });
  };
  await system.baton('down');
  await promisify(execFile)('cp', ['-a', postgres, backup]); // The server's user owns it.
  await startAgain('--nodes', '5');
  await system.baton('down');
  await rm(postgres, { recursive: true });
  await rename(backup, postgres);

  await expect(startAgain()).rejects.toThrow(/it was restored from before that/);
  await startAgain('--restored');
  expect(system.lines).toContainEqual(expect.objectContaining({ event: 'restored' }));
  expect((await system.status()).nodes).toHaveLength(5);
  expect((await sql('SELECT feed FROM feed_head')).stdout).not.toBe(before);
}, 240_000);
