// The leader stopped with SIGSTOP in the middle of writing, again and again, and woken when another one leads: of what it
// still held, no row may appear. BATON_FREEZES says how often.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { itemVersion } from '../../contracts/ids.ts';
import { routes } from '../../contracts/node-api.ts';
import { createInternalClient, type InternalClient } from '../../runtime/internal-http.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import { connectDatabase } from '../chaos/audit.ts';
import { enterSourceByHand } from '../support/publish-page.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const freezes = Number(process.env['BATON_FREEZES'] ?? 300);
const source = 'freezes';
const writersPerNode = 2;
const answerWithinMs = 2_000;
const leaderWithinMs = 20_000;

let system: RunningSystem;
let http: InternalClient;
let database: Client;

beforeAll(async () => {
  system = await startRunningSystem(['--no-demo', '--timeouts', '15/150', '--broker', 'development']);
  await enterSourceByHand(system, source);
  const data = join(system.folder, '.baton');
  const pem = (name: string) => readFile(join(data, 'tls', name), 'utf8');
  const ca = await pem('ca.pem');
  http = createInternalClient({ ca, cert: await pem('deliver.pem'), key: await pem('deliver.key') });
  const { services } = await system.status();
  const [, port] = (services.find(({ kind }) => kind === 'database')?.address ?? '').split(':');
  const password = await readFile(join(data, 'secrets', 'database-password'), 'utf8');
  database = await connectDatabase({ port: Number(port), password, ca });
});
afterAll(async () => {
  await http?.close();
  await database?.end();
  await system?.close();
});

/** Everybody writes to one node without a pause, so that whatever it is frozen in is a write. */
async function writeTo(node: string, over: AbortSignal, next: () => number): Promise<number> {
  let written = 0;
  while (!over.aborted) {
    const ordinal = next();
    const item = {
      source,
      sku: `sku-${ordinal % 20}`,
      title: `Article ${ordinal}`,
      url: 'https://shop.example/p/1',
      imageUrl: null,
      price: ordinal,
      currency: 'EUR',
      inStock: true,
      stock: null,
      version: itemVersion({ intake: 1, ordinal }),
    };
    const json = { items: [{ messageId: `freeze-${ordinal}`, traceparent: newTraceparent(), item }] };
    try {
      await http.call(node, { method: 'POST', path: routes.batches, json, timeoutMs: answerWithinMs });
      written += 1;
    } catch {
      await sleep(2); // It does not lead, or stands still: that is what this is about.
    }
  }
  return written;
}

async function fence(): Promise<{ term: number; leader: string }> {
  const { rows } = await database.query<{ term: string; holder: string }>('SELECT term, holder FROM fence');
  const [row] = rows;
  return { term: Number(row?.term), leader: row?.holder.split('/')[0] ?? '' };
}

test(`${freezes} freezes of a leader that writes: terms never fall in the order of commits`, async () => {
  const nodes = (await system.status()).nodes;
  const over = new AbortController();
  let ordinal = 0;
  const writers = system.ready.nodes.flatMap(({ internalUrl }) =>
    Array.from({ length: writersPerNode }, () => writeTo(internalUrl, over.signal, () => ++ordinal)),
  );
  for (let turn = 0; turn < freezes; turn++) {
    const before = await fence();
    const pid = nodes.find(({ id }) => id === before.leader)?.pid;
    if (pid === undefined || pid === null)
      throw new Error(`${before.leader} holds the fence and does not run`);
    await sleep(Math.random() * 50);
    process.kill(pid, 'SIGSTOP');
    try {
      await eventually(
        `a leader after term ${before.term}`,
        fence,
        ({ term }) => term > before.term,
        leaderWithinMs,
      );
      await sleep(Math.random() * 50);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  }
  over.abort();
  const written = (await Promise.all(writers)).reduce((sum, count) => sum + count, 0);

  const { rows } = await database.query<{ terms: string; writes: string; fell: string; older: string }>(`
    SELECT count(DISTINCT term) AS terms, count(*) AS writes,
      count(*) FILTER (WHERE term < before) AS fell,
      count(*) FILTER (WHERE item_version < version_before) AS older
    FROM (
      SELECT term, item_version, lag(term) OVER (ORDER BY id) AS before,
        lag(item_version) OVER (PARTITION BY sku ORDER BY id) AS version_before
      FROM feed WHERE source = '${source}'
    ) AS changes`);
  const [changes] = rows;
  expect(changes).toMatchObject({ fell: '0', older: '0' });
  // Each answered write is there, and most leaders were frozen while they wrote.
  expect(Number(changes?.writes)).toBeGreaterThanOrEqual(written);
  expect(Number(changes?.terms)).toBeGreaterThan(freezes / 2);
  const logs = await Promise.all(
    nodes.map(({ id }) => readFile(join(system.folder, '.baton', 'logs', `${id}.log`), 'utf8')),
  );
  expect(logs.join('\n').split('"type":"fence.refused"').length - 1).toBeGreaterThan(0);
  process.stdout.write(
    `${freezes} freezes, ${String(changes?.terms)} terms, ${String(changes?.writes)} writes\n`,
  );
});
