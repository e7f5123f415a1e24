// The whole path, publish to committed row, through a broker, the event source, the Invoke API, the deliver function and
// the leader: its rate beside its slowest stage alone and beside peers, what an item costs, and how long it takes.
// Everything in one run on one system, the turns interleaved.
import { functions, nodes, rabbitmqEventSources } from '../contracts/topology.ts';
import { createInvokeClient } from '../emulator/event-sources/invoke-client.ts';
import { startRabbitmqMapping } from '../emulator/event-sources/rabbitmq.ts';
import { createLogger } from '../runtime/logger.ts';
import { startBenchSystem, type BenchSystem } from './bench-system.ts';
import { measured, median, quantile, round, type Bench, type Result } from './bench.ts';
import { consumePlainly, consumeWithRascal } from './peers/item-consumers.ts';
import { howToInstall } from './peers/installed.ts';
import { measureLatency } from './pipeline-latency.ts';
import { measureLeaderLoss, type LeaderLoss } from './pipeline-leader-loss.ts';
import {
  drainByConsumer,
  drainByPath,
  drainByShovel,
  openShovel,
  peerQueue,
  withPeerQueue,
} from './pipeline-peers.ts';
import {
  intakesPerMeasure,
  measureStages,
  pagesOf,
  publishAll,
  type Shape,
  type StageRates,
} from './pipeline-stages.ts';

const [{ batchSize }] = rabbitmqEventSources;
const shapes = {
  single: { items: 10_000, itemsPerPage: 1, itemsPerBatch: batchSize },
  page: { items: 20_000, itemsPerPage: 20, itemsPerBatch: 1_000 },
} as const satisfies Record<string, Shape>;
const peerItems = { plain: 500, rascal: 2_000 } as const; // Enough for a second or more of each.
const backlogItems = 200_000;
const cpuGoals = { single: 140, page: 60 } as const;
const warmTurns = 4;
const idleMs = 3_000;
const latencySeconds = 5;
const lossPerSecond = 5_000;
const windowMs = 500;

export const bench: Bench = async ({ rounds }) => {
  const system = await startBenchSystem();
  const intakes = new Intakes();
  try {
    // Their compilers are done with the processes after some turns, as those of a system that runs are.
    for (let turn = 0; turn < warmTurns; turn++) await measureLive(system, shapes.single, intakes);
    const idle = await idleCpu(system);
    const results: Result[] = [];
    for (const name of ['single', 'page'] as const)
      results.push(...(await liveResults(system, name, { rounds, intakes, idle })));
    results.push(...(await drainResults(system, { rounds, intakes })));
    results.push(...(await latencyResults(system, intakes)));
    results.push(...(await leaderLossResults(system, { rounds, intakes })));
    return results;
  } finally {
    await system.close();
  }
};

/** Each measurement writes versions newer than all before it. */
class Intakes {
  #next = 1;
  take(count = 1): number {
    const first = this.#next;
    this.#next += count;
    return first;
  }
}

interface Live {
  readonly perSecond: number;
  readonly seconds: number;
  /** Seconds of processor time by service. */
  readonly cpu: ReadonlyMap<string, number>;
}

async function measureLive(system: BenchSystem, shape: Shape, intakes: Intakes): Promise<Live> {
  const pages = pagesOf(shape, { intake: intakes.take() });
  const before = await system.applied();
  const cpuBefore = await system.cpu();
  const own = process.cpuUsage();
  const began = performance.now();
  await publishAll(system, pages);
  const { user, system: kernel } = process.cpuUsage(own);
  await system.untilApplied(before + shape.items);
  const seconds = (performance.now() - began) / 1_000;
  const cpu = new Map(
    [...(await system.cpu())].map(([name, used]) => [name, used - (cpuBefore.get(name) ?? 0)]),
  );
  return {
    perSecond: shape.items / seconds,
    seconds,
    cpu: new Map([...cpu, ['publisher', (user + kernel) / 1e6]]),
  };
}

/** What every service uses in a second while nothing is sent: elections, polls, timers. */
async function idleCpu(system: BenchSystem): Promise<ReadonlyMap<string, number>> {
  const before = await system.cpu();
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  const after = await system.cpu();
  return new Map(
    [...after].map(([name, used]) => [name, (used - (before.get(name) ?? 0)) / (idleMs / 1_000)]),
  );
}

async function liveResults(
  system: BenchSystem,
  name: keyof typeof shapes,
  { rounds, intakes, idle }: { rounds: number; intakes: Intakes; idle: ReadonlyMap<string, number> },
): Promise<Result[]> {
  const shape = shapes[name];
  const way = `${shape.itemsPerPage} a message`;
  const lives: Live[] = [];
  const stages: StageRates[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    lives.push(await measureLive(system, shape, intakes));
    stages.push(await measureStages(system, shape, intakes.take(intakesPerMeasure)));
  }
  const alone = (Object.keys(stages[0] ?? {}) as (keyof StageRates)[])
    .map((stage) => ({ stage, perSecond: median(stages.map((rates) => rates[stage])) }))
    .toSorted((one, other) => one.perSecond - other.perSecond);
  const [slowest] = alone;
  const cost = costPerItem(lives, shape, idle);
  const total = [...cost.values()].reduce((sum, us) => sum + us, 0);
  return [
    compared(`live, ${way}, beside the slowest stage alone (${slowest?.stage ?? 'none'})`, {
      ours: median(lives.map(({ perSecond }) => perSecond)),
      peer: slowest?.perSecond,
      ratioMin: 0.6,
    }),
    ...alone.map(({ stage, perSecond }) => measured(`  ${stage} alone, ${way}`, 'items/s', perSecond)),
    measured(`CPU of all processes, ${way}`, 'us/item', total, cpuGoals[name]),
    ...[...cost]
      .filter(([, us]) => us >= 0.5)
      .toSorted(([, one], [, other]) => other - one)
      .map(([service, us]) => measured(`  ${service}, ${way}`, 'us/item', us)),
  ];
}

/** Microseconds by service, without what it would have used anyway. */
function costPerItem(
  lives: readonly Live[],
  { items }: Shape,
  idle: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const services = [...(lives[0]?.cpu.keys() ?? [])];
  return new Map(
    services.map((service) => [
      service,
      median(
        lives.map(
          ({ cpu, seconds }) =>
            (Math.max(0, (cpu.get(service) ?? 0) - seconds * (idle.get(service) ?? 0)) / items) * 1e6,
        ),
      ),
    ]),
  );
}

async function drainResults(
  system: BenchSystem,
  { rounds, intakes }: { rounds: number; intakes: Intakes },
): Promise<Result[]> {
  const backlog: Shape = { ...shapes.single, items: backlogItems };
  const pages: Shape = { ...shapes.page, items: backlogItems };
  const shovel = await openShovel(system);
  const rates = {
    path: [] as number[],
    pages: [] as number[],
    shovel: [] as number[],
    rascal: [] as number[],
    plain: [] as number[],
  };
  for (let turn = 0; turn < rounds; turn++) {
    rates.path.push(await drainByPath(system, backlog, intakes.take()));
    rates.pages.push(await drainByPath(system, pages, intakes.take()));
    if (shovel) rates.shovel.push(await drainByShovel(system, shovel, backlog, intakes.take()));
    const few = { ...shapes.single, items: peerItems.rascal };
    const rascal = await drainByConsumer(system, consumeWithRascal, few, intakes.take());
    if (rascal !== undefined) rates.rascal.push(rascal);
    const fewer = { ...shapes.single, items: peerItems.plain };
    rates.plain.push((await drainByConsumer(system, consumePlainly, fewer, intakes.take())) ?? NaN);
  }
  const ours = median(rates.path);
  return [
    compared('drain of a backlog, 1 a message, beside Shovel queue to queue on confirm', {
      ours,
      peer: shovel && median(rates.shovel),
      ratioMin: 0.8,
      missing: 'no RabbitMQ is installed: apt-get install rabbitmq-server',
    }),
    measured('drain of a backlog, 20 a message', 'items/s', median(rates.pages)),
    compared('drain, 1 a message, beside rascal 21 with prefetch 100, an item a request', {
      ours,
      peer: rates.rascal.length > 0 ? median(rates.rascal) : undefined,
      ratioMin: 8,
      missing: `rascal is not installed: ${howToInstall}`,
    }),
    compared('drain, 1 a message, beside a plain consumer: prefetch 1, a request and a row each', {
      ours,
      peer: median(rates.plain),
      ratioMin: 25,
    }),
  ];
}

async function latencyResults(system: BenchSystem, intakes: Intakes): Promise<Result[]> {
  const seconds = latencySeconds;
  const fast = await measureLatency(system, { perSecond: 1_000, seconds, intake: intakes.take() });
  const calm = await measureLatency(system, { perSecond: 100, seconds, intake: intakes.take() });
  const rascal = await withPeerQueue(system, async () => {
    const consumer = await consumeWithRascal(system, peerQueue);
    if (!consumer) return undefined;
    await consumer.begin();
    const took = await measureLatency(system, {
      perSecond: 100,
      seconds,
      intake: intakes.take(),
      queue: peerQueue,
    });
    await consumer.close();
    return took;
  });
  const windowed = await throughWindow(system, intakes.take());
  const ms = (took: readonly number[], share: number): number => quantile(took, share);
  return [
    measured('publish to committed row at 1,000/s, window 0: p50', 'ms', ms(fast, 0.5), 5),
    measured('publish to committed row at 1,000/s, window 0: p99', 'ms', ms(fast, 0.99), 50),
    {
      what: rascal
        ? 'the same at 100/s: p50, beside rascal'
        : `the same at 100/s: p50 (rascal is not installed: ${howToInstall})`,
      unit: 'ms',
      ours: round(ms(calm, 0.5), 1),
      peer: rascal ? round(ms(rascal, 0.5), 1) : null,
      ratio: rascal ? round(ms(calm, 0.5) / ms(rascal, 0.5), 2) : null,
      goal: '<= 1.5 of rascal',
      met: rascal ? ms(calm, 0.5) <= 1.5 * ms(rascal, 0.5) : null,
    },
    measured(
      `the same at 100/s through a window of ${windowMs} ms: p50`,
      'ms',
      ms(windowed, 0.5),
      windowMs / 2 + 10,
    ),
    measured(`the same at 100/s through a window of ${windowMs} ms: p99`, 'ms', ms(windowed, 0.99)),
  ];
}

async function leaderLossResults(
  system: BenchSystem,
  { rounds, intakes }: { rounds: number; intakes: Intakes },
): Promise<Result[]> {
  const losses: LeaderLoss[] = [];
  for (let turn = 0; turn < rounds; turn++)
    losses.push(await measureLeaderLoss(system, { perSecond: lossPerSecond, intake: intakes.take() }));
  const what = `kill -9 of the leader under ${lossPerSecond}/s`;
  const middle = (read: (loss: LeaderLoss) => number): number => median(losses.map(read));
  const missing = losses.reduce((sum, loss) => sum + loss.missing, 0);
  return [
    measured(
      `${what}: until the next leader's first row`,
      'ms',
      middle(({ firstRowMs }) => firstRowMs),
    ),
    measured(
      `${what}: until the full rate is back`,
      'ms',
      middle(({ fullRateMs }) => fullRateMs),
      nodes.electionTimeoutMs + 1_000,
    ),
    measured(`${what}: items missing in the end`, '', missing, 0),
  ];
}

/** A second mapping as AWS would have it by default: it waits half a second for its batch. */
async function throughWindow(system: BenchSystem, intake: number): Promise<number[]> {
  const invoke = createInvokeClient(system.running.ready.lambda);
  return await withPeerQueue(system, async () => {
    const source = startRabbitmqMapping({
      mapping: {
        function: 'deliver',
        queue: peerQueue,
        batchSize: 1_000,
        windowMs,
        functionTimeoutS: functions.deliver.timeoutS,
      },
      broker: system.broker,
      invoke,
      logger: createLogger({ process: 'bench', write: () => undefined }),
    });
    try {
      return await measureLatency(system, {
        perSecond: 100,
        seconds: latencySeconds,
        intake,
        queue: peerQueue,
      });
    } finally {
      await source.close();
      await invoke.close();
    }
  });
}

function compared(
  what: string,
  {
    ours,
    peer,
    ratioMin,
    missing,
  }: { ours: number; peer: number | undefined; ratioMin: number; missing?: string },
): Result {
  const ratio = peer === undefined ? null : ours / peer;
  return {
    what: peer === undefined && missing !== undefined ? `${what} (${missing})` : what,
    unit: 'items/s',
    ours: round(ours),
    peer: peer === undefined ? null : round(peer),
    ratio: ratio === null ? null : round(ratio, 2),
    goal: `>= ${ratioMin}`,
    met: ratio === null ? null : ratio >= ratioMin,
  };
}
