// How much waits: depths of the queues, and how much is stored and dead.
import type { FastifyInstance } from 'fastify';
import { countsSchema, queuesSchema, type Counts, type QueuesView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { queuesOf } from '../../contracts/topology.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import { deadQueues } from '../dead-letters/collect.ts';
import type { Store } from '../store.ts';
import type { Operation } from './openapi.ts';

const depthWithinMs = 400; // Readers such as `baton status` wait a second for all they ask.
const noCounts = { items: null, itemVersions: null, files: null, mailsSent: null };

export const queueOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.counts,
    summary: 'How much is stored, waits and is dead',
    answer: countsSchema,
  },
  { method: 'get', path: publicRoutes.queues, summary: 'Depths of the queues', answer: queuesSchema },
];

interface DepthsOptions {
  readonly broker: Pick<BrokerClient, 'depth'>;
  readonly store: Pick<Store, 'openDeadLetters'>;
  readonly itemPartitions: number;
}

export function addQueues(
  app: FastifyInstance,
  { store, depths }: { store: Pick<Store, 'counts'>; depths: () => Promise<Depths> },
): void {
  app.get(publicRoutes.queues, async (): Promise<QueuesView> => ({ depths: await depths() }));
  app.get(publicRoutes.counts, async (): Promise<Counts> => {
    const [stored, waiting] = await Promise.all([store.counts().catch(() => noCounts), depths()]);
    const dead = new Set(deadQueues.values());
    const isDead = (name: string): boolean => dead.has(name);
    const sum = (wanted: (name: string) => boolean): number | null => {
      const found = Object.entries(waiting).filter(([name]) => wanted(name));
      // One unknown depth makes the sum unknown: a smaller number would look like good news.
      return found.some(([, depth]) => depth === null)
        ? null
        : found.reduce((total, [, depth]) => total + (depth ?? 0), 0);
    };
    return { ...stored, deadLetters: sum(isDead), queued: sum((name) => !isDead(name)) };
  });
}

/** By queue, null where unknown. */
export type Depths = Record<string, number | null>;

/** Of all queues. All readers of one second share one look, unless it did not find all. */
export function sharedDepths(options: DepthsOptions): () => Promise<Depths> {
  let last: { at: number; value: Promise<Depths> } | undefined;
  const look = async (): Promise<Depths> => {
    const depths = await readDepths(options);
    if (Object.values(depths).includes(null)) last = undefined;
    return depths;
  };
  return () => {
    if (!last || performance.now() - last.at > 1_000) last = { at: performance.now(), value: look() };
    return last.value;
  };
}

/** A dead letter lies in its queue until the leader moves it to the database, and counts as one wherever it lies. */
async function readDepths({ broker, store, itemPartitions }: DepthsOptions): Promise<Depths> {
  const [waiting, kept] = await Promise.all([
    Promise.all(
      queuesOf(itemPartitions).map(
        async ({ name }) =>
          [name, await broker.depth(name, { timeoutMs: depthWithinMs }).catch(() => null)] as const,
      ),
    ),
    store.openDeadLetters().catch(() => null),
  ]);
  const depths: Depths = Object.fromEntries(waiting);
  for (const [queue, deadQueue] of deadQueues) {
    const depth = depths[deadQueue] ?? null;
    depths[deadQueue] = depth === null || kept === null ? null : depth + (kept[queue] ?? 0);
  }
  return depths;
}
