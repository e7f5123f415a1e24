// Outages of a whole system that need nobody: while one lasts, health says it in words, publishing goes on where it can, and
// nothing runs hot; after it everything arrives by itself and no innocent message is dead. Longer ones are wound on with
// the clock in test/unit/event-sources/outages.test.ts and test/integration/database/outbox.test.ts.
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exchanges, queues, routingKeys } from '../../contracts/topology.ts';
import type { BrokerChoice } from '../../emulator/services/describe-broker.ts';
import { connectBroker, type BrokerClient } from '../../runtime/rabbitmq.ts';
import type { Credentials } from '../../contracts/secrets.ts';
import { connectDatabase } from '../chaos/audit.ts';
import { Stage } from '../chaos/stage.ts';
import { singleMessage } from '../chaos/workload.ts';
import { eventually } from '../support/running-system.ts';

const broker = (process.env['BATON_TEST_BROKER'] ?? 'development') as BrokerChoice;
const source = 'recovery';
const recipient = 'patient@example.test';
let folder: string;
let stage: Stage;
let publisher: BrokerClient;
let intake: number;
let page = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-recovery-'));
  stage = await Stage.start({ folder, broker });
  await stage.change('PUT', `/sources/${source}`, { kind: 'partner', name: source });
  await stage.change('POST', '/watches', { email: recipient, source, sku: 'watched' });
  intake = await stage.takeIntake(source, 'recovery', { withinMs: 30_000 });
  publisher = connectBroker({
    url: stage.brokerUrl,
    credentials: async () =>
      JSON.parse(await readFile(stage.secretFile('broker.json'), 'utf8')) as Credentials,
    ca: await readFile(stage.caFile, 'utf8'),
    name: 'recovery test',
  });
});
afterAll(async () => {
  await publisher?.close();
  await stage?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Resolves when it is confirmed. */
async function publish(sku: string, price = 1): Promise<void> {
  const { attempt: _attempt, ...message } = singleMessage({ source, intake }, { sku, page: page++, price });
  await publisher.publish({
    exchange: exchanges.main.name,
    routingKey: routingKeys.items(source),
    ...message,
  });
}
async function query<T extends object>(sql: string, values: unknown[] = []): Promise<T[]> {
  let database: Client | undefined;
  try {
    database = await connectDatabase(await stage.database());
    return (await database.query<T>(sql, values)).rows;
  } finally {
    await database?.end();
  }
}
const rows = (prefix: string) =>
  query<{ sku: string }>('SELECT sku FROM items WHERE source = $1 AND sku LIKE $2', [source, `${prefix}-%`]);
const problems = async () => (await stage.status()).nodes.flatMap((node) => node.problems);
const saysAProblem = (pattern: RegExp) =>
  eventually(
    `health says ${String(pattern)}`,
    problems,
    (words) => words.some((word) => pattern.test(word)),
    20_000,
  );
const saysNothing = () =>
  eventually('health has nothing to say', problems, (words) => words.length === 0, 60_000);

/** Of every process of the system and their children, in seconds. */
async function cpuSeconds(): Promise<number> {
  const { services } = await stage.status();
  const cpuOf = (pid: number): number => {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ');
      const own = (Number(fields[11]) + Number(fields[12])) / 100; // utime and stime, in clock ticks of 10 ms.
      return children.reduce((sum, child) => sum + (child === '' ? 0 : cpuOf(Number(child))), own);
    } catch {
      return 0; // It ended.
    }
  };
  return services.reduce((sum, { pid }) => sum + (pid === null ? 0 : cpuOf(pid)), 0);
}
async function logBytes(): Promise<number> {
  const logs = join(folder, '.baton', 'logs');
  const sizes = (await readdir(logs)).map(async (name) => (await stat(join(logs, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
/** Waits with the outage on. A loop without a pause takes a core, and one that logs fills the disk. */
async function nothingRunsHot(seconds: number): Promise<void> {
  const [cpuBefore, bytesBefore] = [await cpuSeconds(), await logBytes()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  expect((await cpuSeconds()) - cpuBefore).toBeLessThan(seconds * 0.6);
  expect((await logBytes()) - bytesBefore).toBeLessThan(seconds * 20_000);
}

test('no leader for a minute, longer than one invocation waits: publishes are confirmed, and all arrive afterwards', async () => {
  const { leader, nodes } = await stage.status();
  const others = nodes.filter(({ id }) => id !== leader).map(({ id }) => id);
  for (const id of others) await stage.fault('pause', id);
  await saysAProblem(/^nobody leads/);
  for (let number = 0; number < 300; number++) await publish(`leaderless-${number}`);
  await nothingRunsHot(60);
  expect(await rows('leaderless')).toHaveLength(0);
  for (const id of others) await stage.fault('resume', id);
  await eventually(
    'all rows',
    () => rows('leaderless'),
    (found) => found.length === 300,
    60_000,
  );
  await saysNothing();
});

test('the database hangs for 20 s, and is gone: publishes are confirmed, no term is lost to it, and all arrive afterwards', async () => {
  const { term } = await stage.status();
  await stage.fault('pause', 'database');
  await saysAProblem(/^the database does not answer/);
  for (let number = 0; number < 300; number++) await publish(`no-database-${number}`);
  await nothingRunsHot(20);
  await stage.fault('resume', 'database');
  await stage.fault('kill', 'database');
  await eventually(
    'all rows',
    () => rows('no-database'),
    (found) => found.length === 300,
    60_000,
  );
  expect((await stage.status()).term).toBe(term);
  await saysNothing();
});

test('the broker hangs for 25 s, and is gone: a publish fails in its time, and what was confirmed before arrives afterwards', async () => {
  await publish('no-broker-0');
  await stage.fault('pause', 'broker');
  await expect(publish('no-broker-lost')).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  await saysAProblem(/^RabbitMQ does not answer/);
  await nothingRunsHot(15);
  await stage.fault('resume', 'broker');
  await stage.fault('kill', 'broker');
  await eventually(
    'a publish',
    () => publish('no-broker-1'),
    () => true,
    60_000,
  );
  await eventually(
    'both rows',
    () => rows('no-broker'),
    (found) => found.length >= 2,
    60_000,
  );
  await saysNothing();
});

test('the mail server refuses for 20 s: tried a few times only, and delivered once afterwards', async () => {
  const token = await readFile(stage.secretFile('inbox-token'), 'utf8');
  const faults = (list: unknown[]) =>
    request(`${stage.inbox}/api/faults`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(list),
    });
  expect((await faults([{ kind: 'refuse' }])).statusCode).toBe(200);
  await publish('watched', 20);
  await publish('watched', 10);
  await saysAProblem(/^the mail server did not take 1 mail:/);
  await nothingRunsHot(20);
  const [mail] = await query<{ attempt: number; state: string }>('SELECT attempt, state FROM mails');
  expect(mail?.state).not.toBe('failed');
  expect(mail?.attempt).toBeLessThanOrEqual(6); // 5 s, then twice as long each time, half of it by chance.
  expect((await faults([])).statusCode).toBe(200);
  await eventually(
    'the mail is sent',
    () => query<{ state: string }>('SELECT state FROM mails'),
    ([found]) => found?.state === 'sent',
    90_000,
  );
  const { mails } = (await (await request(`${stage.inbox}/api/mails`)).body.json()) as { mails: unknown[] };
  expect(mails).toHaveLength(1);
  await saysNothing();
});

test('after all of it no message is dead or left', async () => {
  const depths = await Promise.all(
    Object.values(queues).map(async ({ name }) => [name, await publisher.depth(name)]),
  );
  expect(depths.filter(([, depth]) => depth !== 0)).toEqual([]);
  // The leader has taken what was in the dead queues into its table.
  expect(await query('SELECT queue, message_id, code, reason FROM dead_letters')).toEqual([]);
});
