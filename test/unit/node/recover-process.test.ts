// nodes/recover.ts as a process: what it says of a wrong environment or argument. test/system/node-recover.test.ts has the
// rest of it, with a database and nodes.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const module = fileURLToPath(new URL('../../../nodes/recover.ts', import.meta.url));
const recover = (...args: string[]) =>
  spawnSync(process.execPath, [module, ...args], { encoding: 'utf8', env: { PATH: process.env['PATH'] } });

test('without the environment of a node every variable that is missing is named, and nothing is done', () => {
  const { status, stderr, stdout } = recover('--yes');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  for (const name of ['BATON_NODE_ID', 'BATON_DATA', 'BATON_DATABASE_URL'])
    expect(stderr).toContain(`${name} is missing`);
});

test('an argument that it does not know is named', () => {
  const { status, stderr } = recover('--force');
  expect(status).toBe(2);
  expect(stderr).toContain('--force');
});
