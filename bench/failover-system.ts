// What a change of leaders costs those who write, on the whole system: from the leader's end until the next one is
// elected, until its claim stands in the database, and until the first write lands there. Beside it an advisory lock in
// the same PostgreSQL, which is what one would use without an election.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { leaderHintSchema, routes } from '../contracts/node-api.ts';
import { itemVersion } from '../contracts/ids.ts';
import { Failure } from '../runtime/failure.ts';
import { createInternalClient, type InternalClient } from '../runtime/internal-http.ts';
import { parseEventLine } from '../runtime/logger.ts';
import { newTraceparent } from '../runtime/trace.ts';
import { enterSourceByHand } from '../test/support/publish-page.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../test/support/running-system.ts';
import { hasQuantile, measured, median, quantile, round, type Result } from './bench.ts';
import { measureLock } from './peers/advisory-lock.ts';
import { costOf } from './process-cost.ts';

const idleMs = 5_000;
const writeWithinMs = 10_000;
const settleWithinMs = 60_000;
const logWithinMs = 5_000;

interface Losses {
  readonly elected: number[];
  readonly writable: number[];
  readonly written: number[];
}

export async function measureSystem({ rounds }: { rounds: number }): Promise<Result[]> {
  const system = await startRunningSystem(['--no-demo', '--timeouts', '15/150']);
  try {
    await enterSourceByHand(system, 'bench');
    await allUp(system);
    const cost = await costOf(await nodePids(system), idleMs);
    const writer = await Writer.start(system);
    const killed = await loseLeaders(system, writer, 'SIGKILL', rounds);
    const ended = await loseLeaders(system, writer, 'SIGTERM', rounds);
    await writer.stop();
    const lock = await measureLock(system, rounds);
    return [
      ...(cost
        ? [
            measured('whole node at 15/150, idle: share of a core', '%', cost.cpu, 2),
            measured('whole node at 15/150, idle: resident memory', 'MB', cost.rssMb, 170),
          ]
        : []),
      ...rows('kill -9 of a whole node at 15/150', killed, { writable: { p50: 25, p95: 60 } }),
      ...rows('SIGTERM under writes at 15/150', ended, { written: { p95: 20 } }),
      measured('writes that failed, by a client that follows redirects', '', writer.failed, 0),
      {
        what: 'kill -9, p50 until writes are possible, beside an advisory lock in the same PostgreSQL',
        unit: 'ms',
        ours: round(median(killed.writable), 1),
        peer: round(median(lock), 1),
        ratio: round(median(killed.writable) / median(lock), 2),
        goal: null,
        met: null,
      },
    ];
  } finally {
    await system.close();
  }
}

async function loseLeaders(
  system: RunningSystem,
  writer: Writer,
  signal: 'SIGKILL' | 'SIGTERM',
  rounds: number,
): Promise<Losses> {
  const losses: Losses = { elected: [], writable: [], written: [] };
  for (let turn = 0; turn < rounds; turn++) {
    const { leader, term, pid } = await allUp(system);
    const wallAt = Date.now();
    const lostAt = performance.now();
    process.kill(pid, signal);
    const first = await eventually(
      'a write at another node',
      async () => writer.firstAfter(term),
      (at) => at !== undefined,
      writeWithinMs,
    );
    losses.written.push((first ?? NaN) - lostAt);
    const others = system.ready.nodes.map(({ id }) => id).filter((id) => id !== leader);
    const { elected, writable } = await eventually(
      'the next leader in the logs',
      () => logged(system, others, term),
      (seen) => seen.elected !== undefined && seen.writable !== undefined,
      logWithinMs,
    );
    losses.elected.push((elected ?? NaN) - wallAt);
    losses.writable.push((writable ?? NaN) - wallAt);
  }
  return losses;
}

/** When the nodes themselves say that one of them was elected after this term, and could write. */
async function logged(
  system: RunningSystem,
  nodes: readonly string[],
  term: number,
): Promise<{ elected: number | undefined; writable: number | undefined }> {
  let [elected, writable]: (number | undefined)[] = [];
  for (const node of nodes) {
    const text = await readFile(join(system.folder, '.baton', 'logs', `${node}.log`), 'utf8');
    for (const line of text.split('\n')) {
      const event = parseEventLine(line);
      if (!event) continue;
      const at = Date.parse(event.at);
      if (event.type === 'role.changed' && event.to === 'leader' && event.term > term)
        elected = Math.min(elected ?? Infinity, at);
      if (event.type === 'fence.claimed' && event.term > term) writable = Math.min(writable ?? Infinity, at);
    }
  }
  return { elected, writable };
}

async function allUp(system: RunningSystem): Promise<{ leader: string; term: number; pid: number }> {
  const { leader, term, nodes } = await eventually(
    'all nodes up',
    () => system.status(),
    (seen) =>
      seen.leader !== null && seen.nodes.every(({ health, term: of }) => health === 'ok' && of === seen.term),
    settleWithinMs,
  );
  const pid = nodes.find(({ id }) => id === leader)?.pid;
  if (leader === null || term === null || pid === undefined || pid === null) throw new Error('nobody leads');
  return { leader, term, pid };
}

async function nodePids(system: RunningSystem): Promise<number[]> {
  return (await system.status()).nodes.flatMap(({ pid }) => pid ?? []);
}

/** One item after the other, to whoever takes it: follows a hint, else asks the next node. */
class Writer {
  failed = 0;
  readonly #http: InternalClient;
  readonly #origins: readonly string[];
  readonly #done: { at: number; term: number }[] = [];
  #origin: string;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  private constructor(http: InternalClient, origins: readonly string[]) {
    this.#http = http;
    this.#origins = origins;
    this.#origin = origins[0] ?? '';
  }

  static async start(system: RunningSystem): Promise<Writer> {
    const pem = (name: string) => readFile(join(system.folder, '.baton', 'tls', name), 'utf8');
    const http = createInternalClient({
      ca: await pem('ca.pem'),
      cert: await pem('deliver.pem'),
      key: await pem('deliver.key'),
    });
    const writer = new Writer(
      http,
      system.ready.nodes.map(({ internalUrl }) => internalUrl),
    );
    writer.#running = writer.#run();
    return writer;
  }

  firstAfter(term: number): number | undefined {
    return this.#done.find((write) => write.term > term)?.at;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#http.close();
  }

  async #run(): Promise<void> {
    for (let ordinal = 0; !this.#stopped; ordinal++) if (!(await this.#write(ordinal))) this.failed += 1;
  }

  async #write(ordinal: number): Promise<boolean> {
    const item = {
      source: 'bench',
      sku: 'one',
      title: `Article ${randomUUID()}`,
      url: 'https://shop.example/p/one',
      imageUrl: null,
      price: ordinal,
      currency: 'EUR',
      inStock: true,
      stock: ordinal,
      version: itemVersion({ intake: 1, ordinal }),
    };
    const json = { items: [{ messageId: `bench-${ordinal}`, traceparent: newTraceparent(), item }] };
    const deadline = performance.now() + writeWithinMs;
    while (performance.now() < deadline) {
      try {
        const { term } = await this.#http.call(this.#origin, {
          method: 'POST',
          path: routes.batches,
          json,
          timeoutMs: 1_000,
        });
        this.#done.push({ at: performance.now(), term: term ?? 0 });
        return true;
      } catch (error) {
        this.#origin = hintOf(error) ?? this.#next();
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    return false;
  }

  #next(): string {
    return this.#origins[(this.#origins.indexOf(this.#origin) + 1) % this.#origins.length] ?? '';
  }
}

function hintOf(error: unknown): string | undefined {
  if (!(error instanceof Failure) || error.code !== 'NOT_LEADER') return undefined;
  return leaderHintSchema.safeParse(error.details['leader']).data?.internalUrl;
}

type Goals = Partial<Record<keyof Losses, { p50?: number; p95?: number }>>;

function rows(what: string, losses: Losses, goals: Goals): Result[] {
  const names = { elected: 'elected', writable: 'fence claimed', written: 'first write elsewhere' } as const;
  return (['elected', 'writable', 'written'] as const).flatMap((of) => [
    measured(`${what}: ${names[of]} p50`, 'ms', median(losses[of]), goals[of]?.p50),
    ...(hasQuantile(losses[of], 0.95)
      ? [measured(`${what}: ${names[of]} p95`, 'ms', quantile(losses[of], 0.95), goals[of]?.p95)]
      : []),
    measured(`${what}: ${names[of]} max`, 'ms', quantile(losses[of], 1)),
  ]);
}
