// A whole system for a benchmark, and the doors a benchmark needs beside those of a user: its broker, its database and its
// leader, reached as the processes themselves reach them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChannelModel } from 'amqplib';
import { connectAmqps, type BrokerAddress } from '../runtime/amqps.ts';
import { openPool, type Queries } from '../nodes/database/pool.ts';
import { createInternalClient, type InternalClient } from '../runtime/internal-http.ts';
import { intakeMax } from '../contracts/ids.ts';
import type { Credentials } from '../contracts/secrets.ts';
import { connectBroker, type BrokerClient } from '../runtime/rabbitmq.ts';
import { enterSourceByHand } from '../test/support/publish-page.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../test/support/running-system.ts';
import { cpuSecondsByName } from './cpu-time.ts';
import { benchSource } from './item-messages.ts';

export interface BenchSystem {
  readonly running: RunningSystem;
  readonly broker: BrokerAddress;
  readonly publisher: BrokerClient;
  /** For queues of the benchmark's own. */
  readonly admin: ChannelModel;
  readonly database: Queries;
  readonly http: InternalClient;
  leader(): Promise<{ id: string; internalUrl: string; url: string; term: number }>;
  /** Versions of items in the database: what was applied, exactly. */
  applied(): Promise<number>;
  /** Waits until so many versions are committed. @throws Error when they are not in two minutes. */
  untilApplied(count: number): Promise<void>;
  /** Of a service. @throws Error when it does not run. */
  pid(service: string): number;
  signal(service: string, signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Seconds of processor time by service, its children with it. */
  cpu(): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

const appliedWithinMs = 120_000;
/** A look less often would count as time of the path. */
export const lookEveryMs = 5;

export async function startBenchSystem(args: readonly string[] = []): Promise<BenchSystem> {
  const running = await startRunningSystem(['--no-demo', ...args]);
  try {
    return await openDoors(running);
  } catch (error) {
    await running.close();
    throw error;
  }
}

async function openDoors(running: RunningSystem): Promise<BenchSystem> {
  // Benchmarks number their intakes by themselves.
  await enterSourceByHand(running, benchSource, intakeMax);
  const { services } = await running.status();
  const addressOf = (kind: string): string => services.find((one) => one.kind === kind)?.address ?? '';
  const data = join(running.folder, '.baton');
  const pem = (name: string): Promise<string> => readFile(join(data, 'tls', name), 'utf8');
  const ca = await pem('ca.pem');
  const credentials = (): Promise<Credentials> => running.secret('broker.json');
  const broker: BrokerAddress = { url: addressOf('broker'), credentials, ca };
  const publisher = connectBroker({ ...broker, name: 'bench' });
  const admin = await connectAmqps(broker, 'bench');
  const database = openPool({
    url: `postgres://baton@${addressOf('database')}/baton`,
    password: () => readFile(join(data, 'secrets', 'database-password'), 'utf8'),
    ca,
    applicationName: 'bench',
  });
  const http = createInternalClient({ ca, cert: await pem('deliver.pem'), key: await pem('deliver.key') });
  const roots = services.flatMap(({ name, pid }) => (pid ? [{ name, pid }] : []));

  function pid(service: string): number {
    const found = roots.find(({ name }) => name === service);
    if (!found) throw new Error(`no service ${service} runs`);
    return found.pid;
  }
  async function applied(): Promise<number> {
    const [head] = await database.query<{ count: number }>('counting what was applied', {
      name: 'applied',
      text: 'SELECT item_versions AS count FROM feed_head WHERE id = 1',
    });
    return head?.count ?? 0;
  }
  return {
    running,
    broker,
    publisher,
    admin,
    database,
    http,
    async leader() {
      const { leader, term, nodes } = await eventually(
        'a leader',
        () => running.status(),
        (seen) => seen.leader !== null && seen.term !== null,
      );
      const node = nodes.find(({ id }) => id === leader);
      if (!node || term === null) throw new Error('nobody leads');
      return { ...node, term };
    },
    applied,
    async untilApplied(count) {
      const enough = (seen: number): boolean => seen >= count;
      await eventually(`${count} applied versions`, applied, enough, appliedWithinMs, lookEveryMs);
    },
    pid,
    signal: (service, signal) => void process.kill(pid(service), signal),
    cpu: () => cpuSecondsByName(roots),
    async close() {
      await publisher.close();
      await admin.close().catch(() => undefined); // It may be gone already.
      await http.close();
      await database.close();
      await running.close();
    },
  };
}
