// SQL by hand on a laptop, and the start of a system whose database comes from a backup. What such a database is told, and that
// nodes with newer vote files are admitted then: test/integration/database/sql-by-hand.test.ts.
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

test('`up --restored` gives the feed another id before the first node starts', async () => {
  const { stdout: before } = await sql('SELECT feed FROM feed_head');
  await system.baton('down');
  system = await startRunningSystem([...quiet, '--restored'], { folder: system.folder });
  const events = system.lines.filter(
    ({ event, kind, state }) => event === 'restored' || (kind === 'node' && state === 'starting'),
  );
  expect(events.map(({ event }) => event)).toEqual(['restored', 'service', 'service', 'service']);
  const { stdout: after } = await sql('SELECT feed FROM feed_head');
  expect(JSON.parse(after)).toEqual({ feed: expect.any(String) as unknown });
  expect(after).not.toBe(before);
});
