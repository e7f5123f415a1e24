// The leader killed while items flow at a steady rate: how long nothing is written, until the full rate is back, and whether
// every item that was published is there in the end.
import type { BenchSystem } from './bench-system.ts';
import { pageMessage } from './item-messages.ts';
import { pause } from '../runtime/waiting.ts';

export interface LeaderLoss {
  /** From kill -9 to the first row of the next leader, ms. */
  readonly firstRowMs: number;
  /** From kill -9 to the end of the first quarter of a second that wrote at the full rate again, ms. */
  readonly fullRateMs: number;
  readonly missing: number;
}

interface Look {
  readonly at: number;
  readonly applied: number;
}

const steadyMs = 3_000;
const afterMs = 5_000;
const lookEveryMs = 10;
const windowMs = 250;
const fullShare = 0.95;
const standWithinMs = 60_000;

/** @throws Error when the full rate did not come back while items were published. */
export async function measureLeaderLoss(
  system: BenchSystem,
  { perSecond, intake }: { perSecond: number; intake: number },
): Promise<LeaderLoss> {
  const before = await system.applied();
  const { id, term } = await system.leader();
  const pid = await pidOf(system, id);
  const looks: Look[] = [];
  const over = new AbortController();
  const looking = look(system, looks, over.signal);
  let killedAt = Infinity;
  const kill = setTimeout(() => {
    killedAt = Date.now();
    process.kill(pid, 'SIGKILL');
  }, steadyMs);
  const count = (perSecond * (steadyMs + afterMs)) / 1_000;
  try {
    await publishSteadily(system, { perSecond, count, intake });
  } finally {
    clearTimeout(kill);
    over.abort();
    await looking;
  }
  const deadline = performance.now() + standWithinMs;
  let missing = Infinity;
  while (missing > 0 && performance.now() < deadline) missing = before + count - (await system.applied());
  const firstAt = await firstRowAfter(system, term);
  const full = looks.find(({ at, applied }) => {
    const earlier = looks.findLast((one) => one.at <= at - windowMs && one.at >= firstAt);
    return earlier && ((applied - earlier.applied) * 1_000) / (at - earlier.at) >= fullShare * perSecond;
  });
  if (!full) throw new Error('the full rate did not come back while items were published');
  return { firstRowMs: firstAt - killedAt, fullRateMs: full.at - killedAt, missing };
}

/** By the database's clock, which is this machine's. */
async function firstRowAfter({ database }: BenchSystem, term: number): Promise<number> {
  const [first] = await database.query<{ at: Date | null }>(
    'finding the first row of a term',
    'SELECT min(at) AS at FROM feed WHERE term > $1',
    [term],
  );
  if (!first?.at) throw new Error('no later leader wrote anything');
  return first.at.getTime();
}

const unconfirmedMax = 900;

async function publishSteadily(
  { publisher }: BenchSystem,
  { perSecond, count, intake }: { perSecond: number; count: number; intake: number },
): Promise<void> {
  const began = performance.now();
  const publishing: Promise<void>[] = [];
  const unconfirmed = new Set<number>();
  for (let page = 0; page < count; page++) {
    const waitMs = began + (page * 1_000) / perSecond - performance.now();
    if (waitMs > 1) await pause(waitMs);
    // A client refuses more than a thousand: a broker that stands still for a moment holds the publisher up.
    while (unconfirmed.size >= unconfirmedMax) await pause(1);
    unconfirmed.add(page);
    publishing.push(
      publisher
        .publish(pageMessage({ intake, page, itemsPerPage: 1 }))
        .finally(() => unconfirmed.delete(page)),
    );
  }
  await Promise.all(publishing);
}

async function look(system: BenchSystem, looks: Look[], over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const applied = await system.applied();
    looks.push({ at: Date.now(), applied });
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}

async function pidOf(system: BenchSystem, node: string): Promise<number> {
  const pid = (await system.running.status()).nodes.find(({ id }) => id === node)?.pid;
  if (pid === undefined || pid === null) throw new Error(`${node} leads and does not run`);
  return pid;
}
