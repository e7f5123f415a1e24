// A broker for a test file, run as `baton up` runs it: its service under the supervisor, in a folder of its own. Killed,
// it is started again by the supervisor.
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ChannelModel } from 'amqplib';
import type { BrokerAddress } from '../../runtime/amqps.ts';
import { devBrokerService } from '../../emulator/services/dev-broker/service.ts';
import { findRabbitmq, rabbitmqService } from '../../emulator/services/rabbitmq/rabbitmq.ts';
import { Supervisor } from '../../emulator/launcher/supervisor.ts';
import { makeCertificates } from './certificates.ts';
import { freePort } from './ports.ts';

/** Tests that need a real one are skipped without it. */
export const rabbitmqInstalled = findRabbitmq() !== undefined;

export type BrokerKind = 'development' | 'rabbitmq';
export interface TestBroker {
  readonly address: BrokerAddress;
  /** Where its data lies. */
  readonly folder: string;
  /** With the right password unless another is given. */
  connect(options?: { username?: string; password?: string; heartbeat?: number }): Promise<ChannelModel>;
  /** kill -9; resolves when it is up again. */
  crash(): Promise<void>;
  /** RabbitMQ's own command line. @throws Error when it fails. */
  control(...args: string[]): void;
  close(): Promise<void>;
}

const rabbitmqctl = '/usr/lib/rabbitmq/bin/rabbitmqctl';
const username = 'test';
const password = 'test # "password"';

/** @throws Error with the end of its log when it does not start. */
export async function startTestBroker(kind: BrokerKind): Promise<TestBroker> {
  const root = await mkdtemp(join(tmpdir(), `baton-test-${kind}-`));
  const { ca, caFile, certFile, keyFile } = await makeCertificates(root);
  const port = await freePort();
  const folder = join(root, 'data');
  const credentialsFile = join(root, 'credentials.json');
  await writeFile(credentialsFile, JSON.stringify({ username, password }), { mode: 0o600 });
  const service =
    kind === 'development'
      ? devBrokerService({ folder, port, certFile, keyFile, credentialsFile })
      : rabbitmqService({
          folder,
          port,
          certFile,
          keyFile,
          caFile,
          username,
          password,
          distPort: await freePort(),
          epmdPort: await freePort(),
        });
  let restarted: (() => void) | undefined;
  const supervisor = new Supervisor({
    logs: root,
    onChange: ({ state, restarts }) => {
      if (state === 'up' && restarts > 0) restarted?.();
    },
    onLine: () => undefined,
    onGroups: () => undefined,
  });
  // A test run that is cut off leaves no broker behind.
  const killAll = (): void => supervisor.killAll();
  process.once('exit', killAll);
  const close = async (): Promise<void> => {
    await supervisor.stop(service.name);
    process.off('exit', killAll);
    await rm(root, { recursive: true, force: true });
  };
  try {
    await supervisor.start(service);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    address: {
      url: `amqps://127.0.0.1:${port}/`,
      credentials: () => Promise.resolve({ username, password }),
      ca,
    },
    folder,
    async connect(options = {}) {
      const connection = await connect(
        { protocol: 'amqps', hostname: '127.0.0.1', port, username, password, heartbeat: 10, ...options },
        { ca: [ca], noDelay: true, timeout: 5_000 },
      );
      connection.on('error', () => undefined); // Its calls reject with the same error.
      return connection;
    },
    async crash() {
      const up = new Promise<void>((resolve) => {
        restarted = resolve;
      });
      supervisor.kill(service.name);
      await up;
    },
    control(...args) {
      execFileSync(rabbitmqctl, args, { env: service.command.env, stdio: 'pipe' });
    },
    close,
  };
}
