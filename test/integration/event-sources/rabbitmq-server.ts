// A private RabbitMQ, as Debian installs it, for one test file: own folder, ports, user and certificates.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificates } from '../../support/certificates.ts';
import type { BrokerAddress } from '../../../emulator/event-sources/rabbitmq-feed.ts';

const program = '/usr/lib/rabbitmq/bin/rabbitmq-server';
export const rabbitmqInstalled = existsSync(program);

export interface RabbitmqServer {
  readonly broker: BrokerAddress;
  close(): Promise<void>;
}

/** @throws Error with the end of its log when it does not start within 30 s. */
export async function startRabbitmq(): Promise<RabbitmqServer> {
  const folder = await mkdtemp(join(tmpdir(), 'baton-test-rabbitmq-'));
  const certificates = await makeCertificates(folder);
  const [amqps, distribution, epmd] = [await freePort(), await freePort(), await freePort()];
  const configuration = join(folder, 'rabbitmq.conf');
  await writeFile(
    configuration,
    [
      'listeners.tcp = none',
      `listeners.ssl.1 = 127.0.0.1:${amqps}`,
      `ssl_options.cacertfile = ${certificates.caFile}`,
      `ssl_options.certfile = ${certificates.certFile}`,
      `ssl_options.keyfile = ${certificates.keyFile}`,
      'default_user = test',
      'default_pass = test-password',
      '',
    ].join('\n'),
  );
  await mkdir(join(folder, 'home'));
  await writeFile(join(folder, 'home', '.erlang.cookie'), 'BATONTEST');
  await chmod(join(folder, 'home', '.erlang.cookie'), 0o400);
  await writeFile(join(folder, 'plugins'), '[].');
  const environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: join(folder, 'home'),
    RABBITMQ_NODENAME: `baton-test-${process.pid}@localhost`,
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: configuration,
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(folder, 'generated'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_DIST_PORT: String(distribution),
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}',
  };
  // A group of its own: the script starts Erlang as a child, and both must go.
  const server = spawn(program, [], { env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const close = async (): Promise<void> => {
    await endGroup(server);
    const epmdEnd = spawn('epmd', ['-kill'], { env: environment, stdio: 'ignore' });
    await new Promise((resolve) => epmdEnd.once('close', resolve).once('error', resolve));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await startupComplete(server);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    broker: {
      url: `amqps://127.0.0.1:${amqps}/`,
      credentials: () => Promise.resolve({ username: 'test', password: 'test-password' }),
      ca: certificates.ca,
    },
    close,
  };
}

function startupComplete(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = '';
    const failed = (reason: string): void => reject(new Error(`RabbitMQ ${reason}:\n${log.slice(-2_000)}`));
    const timer = setTimeout(() => failed('did not start within 30 s'), 30_000);
    server.once('exit', (code) => {
      clearTimeout(timer);
      failed(`ended with ${code}`);
    });
    const read = (chunk: Buffer): void => {
      log = (log + chunk.toString('utf8')).slice(-20_000);
      if (!log.includes('Server startup complete')) return;
      clearTimeout(timer);
      resolve();
    };
    server.stdout?.on('data', read);
    server.stderr?.on('data', read);
  });
}

/** Nothing of a test's broker is worth the 8 s that it takes to end in order. */
async function endGroup(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null) return;
  const exited = new Promise((resolve) => server.once('exit', resolve));
  process.kill(-server.pid, 'SIGKILL');
  await exited;
}

/** Below the ports that the system hands out by itself, where a client could take one between our look and its use. */
async function freePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new Error('no free port between 20000 and 32000');
}
