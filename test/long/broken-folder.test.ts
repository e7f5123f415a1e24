// A data folder that somebody broke between two starts: what can be healed is, and what cannot is named as the reason of a start
// that fails.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startRunningSystem } from '../support/running-system.ts';

const small = ['--nodes', '1', '--no-demo', '--broker', 'development'];
let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'baton-broken-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a damaged key is made anew; without its database a cluster is told from a new one, and the start says so', async () => {
  const start = () => startRunningSystem(small, { folder });
  await start().then((system) => system.close());
  await writeFile(join(folder, '.baton', 'tls', 'node-1.key'), 'garbage');
  await start().then((system) => system.close());
  await rm(join(folder, '.baton', 'data', 'postgres'), { recursive: true });
  const refusal = await start().then(
    (system) => system.close(),
    (error: unknown) => String(error),
  );
  expect(refusal).toMatch(
    /"event":"failed","reason":"[^"]*: node-1 ended by exit code 1 at [\d:]{8}: [^"]* belongs to cluster [^"]*: wrong data folder or wrong database"/,
  );
});
