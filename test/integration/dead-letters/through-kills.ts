// Dead letters moved to the database and sent again by processes that die by kill -9 one after the other in the middle of it:
// what came out of it, for tests to judge.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { itemPageSchema } from '../../../contracts/item-page.ts';
import { itemSchema } from '../../../contracts/item.ts';
import { exchanges, queues } from '../../../contracts/topology.ts';
import { declareTopology } from '../../../emulator/services/declare-topology.ts';
import type { StoredCounts } from '../../../nodes/store.ts';
import { connectBroker, type BrokerClient, type TakenMessage } from '../../../runtime/rabbitmq.ts';
import { startTestBroker, type BrokerKind } from '../../support/broker.ts';
import { eventually } from '../../support/running-system.ts';
import { item, lead, traceparent, type useDatabases } from '../database/fresh-database.ts';
import { moments, type WorkerSettings } from './worker/settings.ts';

export const kills = moments.length;
const workerFile = fileURLToPath(new URL('worker/main.ts', import.meta.url));
const endsWithinMs = 240_000;

export interface Outcome {
  /** Rows in the database, once all were moved. */
  readonly kept: number;
  /** Messages that came back to the work queue, and how many different ones. */
  readonly sent: number;
  readonly different: number;
  /** After the leader wrote all of what came back. */
  readonly counts: StoredCounts;
  /** Of the process that moved them, in bytes. */
  readonly grownBy: number;
}

export async function moveThroughKills({
  databases,
  kind,
  count,
  bytesEach,
}: {
  databases: ReturnType<typeof useDatabases>;
  kind: BrokerKind;
  count: number;
  bytesEach: number;
}): Promise<Outcome> {
  const server = await startTestBroker(kind);
  const client = connectBroker({ ...server.address, name: 'test' });
  let worker: ChildProcess | undefined;
  let grownBy = 0;
  try {
    await declareTopology(server.address);
    const { url, store } = await databases.fresh();
    await lead(store);
    const { password, ca } = databases.server();
    const settings: WorkerSettings = {
      term: 1,
      database: { url, password, ca },
      broker: { ...(await server.address.credentials()), url: server.address.url, ca: server.address.ca },
    };
    const start = (dies?: WorkerSettings['dies']): ChildProcess => {
      const child = fork(workerFile, [JSON.stringify({ ...settings, dies })], { silent: true });
      if (!child.stdout) throw new Error('a silent child has an output');
      createInterface({ input: child.stdout }).on('line', (line) => {
        grownBy = Math.max(grownBy, (JSON.parse(line) as { grownBy: number }).grownBy);
      });
      return child;
    };
    const deadDepth = (): Promise<number> => client.depth(queues.itemsDead.name);
    /** `done` rises to `count`; one process after the other dies in between, and the last one ends it. */
    const through = async (what: string, done: () => Promise<number>): Promise<void> => {
      for (const moment of moments) {
        // One more than whole steps hold, so that each has brought some to their end before.
        worker = start({ moment, afterLetters: count / (kills + 2) + 1 });
        const [code, signal] = await ended(worker);
        if (signal !== 'SIGKILL') throw new Error(`${what}: a worker ended by itself, with ${code}`);
        if ((await done()) >= count) throw new Error(`${what}: it died after the end, not before`);
      }
      worker = start();
      await eventually(what, done, (number) => number >= count, endsWithinMs);
      // What was stored and not acknowledged when it was killed is taken once more.
      await eventually('an empty dead-letter queue', deadDepth, (depth) => depth === 0, endsWithinMs);
      // Of one term there is one leader: never two of these at once.
      await kill9(worker);
    };

    const open = async (): Promise<number> => (await store.openDeadLetters())[queues.items.name] ?? 0;
    await publishDead(client, count, bytesEach);
    await through('letters in the database', open);
    const kept = await open();

    await store.settleDeadLetters(1, {
      action: crypto.randomUUID(),
      kind: 'retry',
      by: 'test',
      reason: null,
      select: { all: true },
      upTo: await store.lastDeadLetter(),
      lettersMax: kept,
    });
    await through('letters sent again', async () => kept - (await open()));

    const sent: TakenMessage[] = [];
    const keep = async (some: TakenMessage[]): Promise<void> => void sent.push(...some);
    while ((await client.take(queues.items.name, { messagesMax: 500, bytesMax: 1e8 }, keep)) > 0);
    for (let from = 0; from < sent.length; from += 500)
      await store.writeBatch(1, sent.slice(from, from + 500).map(entryOf));
    const different = new Set(sent.map(({ messageId }) => messageId)).size;
    return { kept, sent: sent.length, different, counts: await store.counts(), grownBy };
  } finally {
    worker?.kill('SIGKILL');
    await client.close();
    await server.close();
  }
}

async function ended(worker: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  const signal = AbortSignal.timeout(endsWithinMs);
  return (await once(worker, 'exit', { signal })) as [number | null, NodeJS.Signals | null];
}
async function kill9(worker: ChildProcess): Promise<void> {
  const died = ended(worker);
  worker.kill('SIGKILL');
  await died;
}

async function publishDead(client: BrokerClient, count: number, bytesEach: number): Promise<void> {
  for (let from = 0; from < count; from += 500)
    await Promise.all(
      Array.from({ length: Math.min(500, count - from) }, (_, index) =>
        client.publish({
          exchange: exchanges.dead.name,
          routingKey: queues.itemsDead.name,
          type: 'item-page',
          messageId: `message-${from + index}`,
          body: pageOf(from + index, bytesEach),
        }),
      ),
    );
}

function pageOf(number: number, bytes: number): string {
  const page = {
    version: 1,
    source: 'shop',
    intake: 1,
    page: number,
    url: 'https://shop.example/',
    fetchedAt: '2026-01-01T00:00:00.000Z',
    traceparent,
    items: [item(`sku-${number}`, number + 1)],
  };
  return JSON.stringify(page).padEnd(bytes);
}
function entryOf({ body, messageId = '' }: TakenMessage) {
  const [only] = itemPageSchema.parse(JSON.parse(String(body))).items;
  return { messageId, traceparent, item: itemSchema.parse(only) };
}
