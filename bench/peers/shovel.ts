// RabbitMQ's own Shovel from one queue of the private broker to another, over TLS and acknowledged on confirm: the least
// that moving a message safely can cost. It knows no HTTP and no database.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchSystem } from '../bench-system.ts';

const run = promisify(execFile);
const toolFolder = '/usr/lib/rabbitmq/bin';
const prefetch = 1_000;
const commandWithinMs = 60_000;
const name = 'bench';

export interface Shovel {
  /** Begins to move what lies in the first queue. */
  start(queues: { from: string; to: string }): Promise<void>;
  stop(): Promise<void>;
}

/** @throws Error with what the broker's tools said. */
export async function enableShovel(system: BenchSystem): Promise<Shovel> {
  const env = await brokerEnvironment(system);
  const tool = async (file: string, ...args: string[]): Promise<void> => {
    await run(join(toolFolder, file), args, { env, timeout: commandWithinMs });
  };
  await tool('rabbitmq-plugins', 'enable', 'rabbitmq_shovel');
  const { username, password } = await system.broker.credentials();
  const uri = new URL(system.broker.url);
  uri.username = username;
  uri.password = password;
  uri.searchParams.set('cacertfile', join(system.running.folder, '.baton', 'tls', 'ca.pem'));
  uri.searchParams.set('verify', 'verify_peer');
  return {
    start: ({ from, to }) =>
      tool(
        'rabbitmqctl',
        'set_parameter',
        'shovel',
        name,
        JSON.stringify({
          'src-protocol': 'amqp091',
          'src-uri': uri.href,
          'src-queue': from,
          'src-prefetch-count': prefetch,
          'dest-protocol': 'amqp091',
          'dest-uri': uri.href,
          'dest-queue': to,
          'ack-mode': 'on-confirm',
        }),
      ),
    stop: () => tool('rabbitmqctl', 'clear_parameter', 'shovel', name),
  };
}

/** The tools find the node by the same variables that it was started with. */
async function brokerEnvironment(system: BenchSystem): Promise<Record<string, string>> {
  const { services } = await system.running.status();
  const pid = services.find(({ kind }) => kind === 'broker')?.pid;
  const variables = await readFile(`/proc/${pid ?? 'self'}/environ`, 'utf8');
  return Object.fromEntries(
    variables.split('\0').flatMap((line) => {
      const [, key, value] = /^(PATH|HOME|LANG|RABBITMQ_\w+|ERL_EPMD_\w+)=(.*)$/s.exec(line) ?? [];
      // The distribution's port is the server's own: a tool would try to listen there, too.
      return key === undefined || key === 'RABBITMQ_DIST_PORT' || key.startsWith('RABBITMQ_SERVER')
        ? []
        : [[key, value ?? '']];
    }),
  );
}
