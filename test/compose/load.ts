// Messages for the system in containers and the verdict on them: the publisher, the audit in the database and the checker of
// test/chaos, which share no code with the product. Only what is of this source counts: the demo goes on beside it.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client } from 'pg';
import { queues } from '../../contracts/topology.ts';
import type { Credentials } from '../../contracts/secrets.ts';
import { collectAudit, collectDeadLetters, connectDatabase, installAudit } from '../chaos/audit.ts';
import { check, type Verdict } from '../chaos/checker.ts';
import { openHistory, readHistory, type HistoryRecord } from '../chaos/history.ts';
import type { PublisherSettings } from '../chaos/publisher/main.ts';
import { docker, findContainer } from '../../emulator/commands/compose-project.ts';
import { eventually } from '../support/running-system.ts';
import { change, portOf, secretOf } from './containers.ts';

const loadSource = 'load';
const publisherFile = fileURLToPath(new URL('../chaos/publisher/main.ts', import.meta.url));
const messagesPerCrawl = 500;
const crawlsMax = 200;
const drainedWithinMs = 120_000;
/** Those about mails and readers are the chaos harness' own: nobody reads or is mailed here. */
const judged: ReadonlySet<string> = new Set(['I1', 'I2', 'I3', 'I4', 'I5', 'I7']);

export interface Load {
  /** Versions of items that are rows. */
  readonly applied: () => Promise<number>;
  /** Publishes what it has begun, until all of it is confirmed. @throws Error when it cannot. */
  finish(): Promise<void>;
  /** Once it is finished and nothing waits any more. */
  verdict(): Promise<Verdict>;
  /** At once. */
  stop(): void;
}

/** Publishes from now on, crawl after crawl, for as long as the faults take. */
export async function startLoad({ folder, perSecond }: { folder: string; perSecond: number }): Promise<Load> {
  const files = {
    credentials: join(folder, 'broker.json'),
    ca: join(folder, 'ca.pem'),
    history: join(folder, 'history'),
  };
  const ca = await secretOf('node-1', 'ca.pem');
  const credentials = JSON.parse(await secretOf('node-1', 'broker.json')) as Credentials;
  const password = await secretOf('node-1', 'database-password');
  await writeFile(files.ca, ca);
  await writeFile(files.credentials, JSON.stringify(credentials), { mode: 0o600 });
  await mkdir(files.history);

  /** Anew each time: the database is restarted meanwhile. */
  async function withDatabase<T>(work: (database: Client) => Promise<T>): Promise<T> {
    const database = await connectDatabase({ port: portOf('BATON_PORT_DATABASE'), password, ca });
    try {
      return await work(database);
    } finally {
      await database.end();
    }
  }
  const applied = () =>
    withDatabase(async (database) => {
      const { rows } = await database.query<{ n: string }>(
        'SELECT count(*) AS n FROM item_versions WHERE source = $1',
        [loadSource],
      );
      return Number(rows[0]?.n);
    });

  await change('PUT', `/sources/${loadSource}`, { kind: 'partner', name: loadSource });
  // Handed out beforehand: what is published is of intakes that the leader knows.
  await withDatabase((database) =>
    database.query('UPDATE sources SET last_intake = greatest(last_intake, $1) WHERE name = $2', [
      crawlsMax,
      loadSource,
    ]),
  );
  await withDatabase(installAudit);
  let publisher: ChildProcess | undefined;
  const finishing = new AbortController();
  async function publishCrawl(intake: number): Promise<void> {
    const settings: PublisherSettings = {
      crawl: { seed: 1, source: loadSource, intake, messages: messagesPerCrawl },
      perSecond,
      historyFolder: files.history,
      historyName: `publisher-${intake}`,
      brokerUrl: `amqps://127.0.0.1:${portOf('BATON_PORT_BROKER')}/`,
      credentialsFile: files.credentials,
      caFile: files.ca,
    };
    publisher = fork(publisherFile, [JSON.stringify(settings)], { execPath: process.execPath });
    const [code] = (await once(publisher, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`the publisher of crawl ${intake} ended with ${code}`);
  }
  const publishing = (async () => {
    for (let intake = 1; intake <= crawlsMax && !finishing.signal.aborted; intake++)
      await publishCrawl(intake);
  })();
  publishing.catch(() => undefined); // Whoever waits for it is told.

  async function verdict(): Promise<Verdict> {
    const depths = await eventually('empty queues', queueDepths, isDrained, drainedWithinMs);
    const history = openHistory(files.history, 'end');
    // The queues first: what the leader moves to the database meanwhile is found there.
    await collectDeadLetters({ port: portOf('BATON_PORT_BROKER'), credentials, ca }, history);
    await withDatabase((database) => collectAudit(database, history));
    history.write({
      kind: 'drained',
      queues: depths,
      itemVersions: await applied(),
      feedLast: 0, // No reader to compare it with.
    });
    const { findings, counts } = await check(ofThisLoad(files.history));
    return { findings: findings.filter(({ invariant }) => judged.has(invariant)), counts };
  }
  return {
    applied,
    finish() {
      finishing.abort();
      return publishing;
    },
    verdict,
    stop() {
      finishing.abort();
      publisher?.kill('SIGKILL');
    },
  };
}

async function* ofThisLoad(folder: string): AsyncGenerator<HistoryRecord> {
  for await (const record of readHistory(folder))
    if (!('source' in record) || record.source === loadSource) yield record;
}

/** Of those that lead to rows: ready messages and those that a consumer holds. */
async function queueDepths(): Promise<Record<string, number>> {
  const { id } = await findContainer('broker');
  const list = await docker(
    'exec',
    id,
    'rabbitmqctl',
    '--quiet',
    '--no-table-headers',
    'list_queues',
    'name',
    'messages',
  );
  const depths = new Map(
    list
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
      .map(([name = '', messages]) => [name, Number(messages)]),
  );
  return Object.fromEntries(
    [queues.items, queues.itemsRetry].map(({ name }) => [name, depths.get(name) ?? Number.NaN]),
  );
}
function isDrained(depths: Record<string, number>): boolean {
  return Object.values(depths).every((depth) => depth === 0);
}
