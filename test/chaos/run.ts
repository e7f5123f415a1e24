// One run: a system, publishers, readers, a nemesis; then calm, until all is drained; then the history is completed with
// what the database and the dead-letter queues hold, and the checker decides.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exchanges, queues, routingKeys } from '../../contracts/topology.ts';
import { pause } from '../../runtime/waiting.ts';
import type { BrokerChoice } from '../../emulator/services/describe-broker.ts';
import { describeError } from '../../runtime/failure.ts';
import { connectBroker, type BrokerClient } from '../../runtime/rabbitmq.ts';
import type { Credentials } from '../../contracts/secrets.ts';
import { collectAudit, collectDeadLetters, connectDatabase, installAudit } from './audit.ts';
import { check, type Verdict } from './checker.ts';
import { drawFaults, neverHit } from './faults.ts';
import { openHistory, readHistory, type HistoryWriter } from './history.ts';
import { runNemesis } from './nemesis.ts';
import { Publishers } from './publishers.ts';
import { startMailReader, startSqlReader, startStreamReader, type Reader } from './readers.ts';
import { handlersAreFound, Stage } from './stage.ts';
import { hotSkus, singleMessage } from './workload.ts';

export interface RunOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly messages: number;
  readonly broker: BrokerChoice;
  /** For the system's data and the history. */
  readonly folder: string;
  readonly tell: (line: string) => void;
}

const sources = ['chaos-one', 'chaos-two'] as const;
const lastSource = 'chaos-last';
const calmWithinMs = 60_000;
/** Publishers that had to wait still have their share to publish. */
const publishedWithinMs = (minutes: number): number => 60_000 + minutes * 60_000;
/** Nothing moves for so long: it is stuck. How long it may move depends on what piled up, and on the machine. */
const stuckAfterMs = 90_000;
const drainedWithinMs = 30 * 60_000;

export interface RunResult {
  readonly verdict: Verdict;
  /** What did not happen in its time after the last fault: the system needed somebody. */
  readonly late: readonly string[];
  /** What the faults did not bring about: that the promises held says nothing about it. */
  readonly untried: readonly string[];
}

/** @throws Error when the system does not start, or does not start again. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { seed, minutes, messages, tell } = options;
  const historyFolder = join(options.folder, 'history');
  await mkdir(historyFolder, { recursive: true });
  const history = openHistory(historyFolder, 'run');
  await using cleanup = new AsyncDisposableStack();
  const stage = cleanup.adopt(await Stage.start(options), (started) => started.close());
  tell('the system runs');

  await prepare(stage, history);
  const stream = cleanup.adopt(
    startStreamReader(openHistory(historyFolder, 'stream'), () => stage.nodes()),
    (reader) => reader.close(),
  );
  await stream.opened;
  cleanup.adopt(
    startSqlReader(openHistory(historyFolder, 'sql'), () => stage.database()),
    (reader) => reader.close(),
  );
  const inbox = cleanup.adopt(
    startMailReader(openHistory(historyFolder, 'mails'), () => stage.inbox),
    (reader) => reader.close(),
  );

  const publishers = cleanup.adopt(
    new Publishers({
      stage,
      seed,
      sources,
      messages,
      // A little faster than it takes, since each fault costs some time.
      perSecond: (1.25 * messages) / (minutes * 60),
      historyFolder,
    }),
    (started) => started.close(),
  );
  tell(`${messages} messages, and faults for ${minutes} minutes`);
  const tried = await runNemesis({
    stage,
    publishers,
    history: openHistory(historyFolder, 'faults'),
    faults: drawFaults({ seed, sources }).filter(
      ({ kind }) => handlersAreFound || !(kind === 'kill-handler' || kind === 'pause-handler'),
    ),
    endsAt: performance.now() + minutes * 60_000,
  });

  const late: string[] = [];
  const inTime = async (what: string, work: Promise<void>): Promise<void> => {
    await work.then(
      () => tell(what),
      (error: unknown) => {
        late.push(describeError(error));
        tell(`not ${what}: ${describeError(error)}`);
      },
    );
  };
  await inTime('calm', allUp(stage));
  await inTime('published', within(publishedWithinMs(minutes), 'all published', publishers.finished));
  await inTime('drained', drain(stage, history));
  await collect(stage, history, { stream, inbox });
  tell('checking');
  const verdict = await check(readHistory(historyFolder));
  const untried = neverHit(tried).map((kind) => `${kind} was tried again and again and hit nothing`);
  if ((verdict.counts['terms'] ?? 0) < 2) untried.push('no leader was ever lost: there was one term');
  return { verdict, late, untried };
}

async function allUp(stage: Stage): Promise<void> {
  await until('every service up and a leader', calmWithinMs, async () => {
    const { leader, services } = await stage.status();
    return leader !== null && services.every(({ state }) => state === 'up');
  });
}

async function prepare(stage: Stage, history: HistoryWriter): Promise<void> {
  // Leadership may move by itself on a busy machine; each of these is asked again without harm.
  const change = async (method: 'PUT' | 'POST', path: string, json: unknown): Promise<void> =>
    until(`${method} ${path}`, calmWithinMs, async () => {
      await stage.change(method, path, json);
      return true;
    });
  for (const name of [...sources, lastSource])
    await change('PUT', `/sources/${name}`, { kind: 'partner', name });
  for (const source of sources)
    for (const sku of hotSkus) {
      const recipient = `${sku}.${source}@example.test`;
      await change('POST', '/watches', { email: recipient, source, sku });
      history.write({ kind: 'watch', recipient, source, sku });
    }
  const database = await connectDatabase(await stage.database());
  try {
    await installAudit(database);
  } finally {
    await database.end();
  }
}

/**
 * A last message is published and waited for: one mapping takes a queue in order, so what lay before it is settled. What
 * had gone into the retry queue meanwhile comes behind it, so it is done until nothing was there before and after, twice.
 */
async function drain(stage: Stage, history: HistoryWriter): Promise<void> {
  const broker = await openBroker(stage);
  const database = await connectDatabase(await stage.database());
  try {
    const intake = await stage.takeIntake(lastSource, 'end-of-chaos', { withinMs: 30_000 });
    const waiting = async (): Promise<boolean> =>
      (await broker.depth(queues.itemsRetry.name)) + (await broker.depth(queues.items.name)) > 0;
    const deadline = performance.now() + drainedWithinMs;
    for (let page = 0, calm = 0; calm < 2 && performance.now() < deadline; page++) {
      const { attempt, ...message } = singleMessage(
        { source: lastSource, intake },
        { sku: `last-${page}`, page },
      );
      history.write(attempt);
      await broker.publish({
        exchange: exchanges.main.name,
        routingKey: routingKeys.items(lastSource),
        ...message,
      });
      history.write({ kind: 'confirmed', message: message.messageId });
      await untilStuck(
        'the last message',
        async () => {
          const { rowCount } = await database.query('SELECT FROM items WHERE source = $1 AND sku = $2', [
            lastSource,
            `last-${page}`,
          ]);
          return rowCount === 1;
        },
        () => broker.depth(queues.items.name),
      );
      calm = (await waiting()) ? 0 : calm + 1;
      if (calm === 0) await pause(1_000);
    }
  } finally {
    await database.end();
    await broker.close();
  }
}

async function collect(
  stage: Stage,
  history: HistoryWriter,
  { stream, inbox }: { stream: { position(): number }; inbox: Reader },
): Promise<void> {
  const database = await connectDatabase(await stage.database());
  const broker = await openBroker(stage);
  try {
    const number = async (sql: string): Promise<number> =>
      Number((await database.query<{ n: string }>(sql)).rows[0]?.n);
    // What is late now is late for good: the checker says what is missing.
    const patiently = (withinMs: number, ready: () => Promise<boolean>) =>
      until('', withinMs, ready).catch(() => undefined);
    await patiently(
      30_000,
      async () => (await number('SELECT last - matched_to AS n FROM feed_head, mail_cursor')) === 0,
    );
    // As long as they become fewer they are not late, however busy the machine. A claim that was lost holds one up for its lease
    // of eleven minutes, which is not waited for.
    await untilStuck(
      'the mails',
      async () => (await number(openMails)) === 0,
      () => number(openMails),
    ).catch(() => undefined);
    const feedLast = await number('SELECT last AS n FROM feed_head');
    await untilStuck(
      'the stream',
      async () => stream.position() >= feedLast,
      async () => -stream.position(),
    ).catch(() => undefined);
    await pause(1_000); // For the inbox to be looked at once more.
    // A mail that is made after the effects were read would be one that tells of none.
    await inbox.close();
    // The queues first: what the leader moves to the database meanwhile is found there.
    await collectDeadLetters(
      {
        port: stage.brokerLink.port,
        credentials: await brokerLogin(stage),
        ca: await readFile(stage.caFile, 'utf8'),
      },
      history,
    );
    await collectAudit(database, history);
    const names = [queues.items, queues.itemsRetry, queues.files, queues.filesRetry].map(({ name }) => name);
    const depths: [string, number][] = [];
    for (const name of names) depths.push([name, await broker.depth(name)]);
    history.write({
      kind: 'drained',
      queues: Object.fromEntries(depths),
      itemVersions: await number('SELECT item_versions AS n FROM feed_head'),
      feedLast,
    });
  } finally {
    await broker.close();
    await database.end();
  }
}

const openMails = `SELECT (SELECT count(*) FROM mails WHERE state IN ('queued', 'claimed', 'unknown'))
  + (SELECT count(*) FROM notices WHERE mail_id IS NULL) AS n`;

async function openBroker(stage: Stage): Promise<BrokerClient> {
  return connectBroker({
    url: stage.brokerUrl,
    credentials: () => brokerLogin(stage),
    ca: await readFile(stage.caFile, 'utf8'),
    name: 'chaos',
  });
}
async function brokerLogin(stage: Stage): Promise<Credentials> {
  return JSON.parse(await readFile(stage.secretFile('broker.json'), 'utf8')) as Credentials;
}

/** @throws Error when it does not come true in its time; a look that fails is no answer. */
async function until(what: string, withinMs: number, ready: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await ready().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs / 1_000} s`);
    await pause(250);
  }
}
/** Waits for as long as `left` goes on falling. @throws Error when it does not for too long. */
async function untilStuck(
  what: string,
  ready: () => Promise<boolean>,
  left: () => Promise<number>,
): Promise<void> {
  const end = performance.now() + drainedWithinMs;
  let least = Infinity;
  let deadline = performance.now() + stuckAfterMs;
  while (!(await ready().catch(() => false))) {
    const now = await left().catch(() => Infinity);
    if (now < least) {
      least = now;
      deadline = performance.now() + stuckAfterMs;
    }
    if (performance.now() > Math.min(deadline, end))
      throw new Error(
        `${what}: nothing moved for ${stuckAfterMs / 1_000} s, or not all within ${drainedWithinMs / 60_000} minutes`,
      );
    await pause(250);
  }
}
async function within(ms: number, what: string, work: Promise<void>): Promise<void> {
  const late = new AbortController();
  const timer = pause(ms, late.signal).then(() => {
    if (!late.signal.aborted) throw new Error(`${what}: not within ${ms / 1_000} s after the last fault`);
  });
  try {
    await Promise.race([work, timer]);
  } finally {
    late.abort();
  }
}
