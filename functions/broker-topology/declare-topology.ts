// Declares exchanges, queues, bindings and users of contracts/topology.ts through RabbitMQ's management API. Doing it
// again changes nothing. A queue that exists with other arguments is named with the difference and left as it is,
// since RabbitMQ cannot change a queue and deleting one loses its messages.
import { exchanges, queues, rabbitmqEventSources, type Queue } from '../../contracts/topology.ts';
import * as z from 'zod';
import type { Credentials } from '../../runtime/secrets.ts';

/** Resolves with the answer's status and body, whatever it is. */
export type CallManagement = (
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  json?: unknown,
) => Promise<{ status: number; json: unknown }>;

export type UserName = 'event-source' | 'nodes' | 'functions';
export interface Permissions {
  /** Regular expressions of names, as RabbitMQ wants them. */
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

const vhost = encodeURIComponent('/');
const nothing = '^$';

/** What each user needs and no more: nobody but the administrator may declare or delete. */
export const permissions: Readonly<Record<UserName, Permissions>> = {
  'event-source': {
    configure: nothing,
    write: nothing,
    read: exactly(rabbitmqEventSources.map(({ queue }) => queue)),
  },
  nodes: {
    configure: nothing,
    write: exactly([exchanges.main.name]),
    // The leader moves dead letters to the database.
    read: exactly([queues.itemsDead.name, queues.filesDead.name, queues.mailDead.name]),
  },
  functions: {
    configure: nothing,
    write: exactly(Object.values(exchanges).map(({ name }) => name)),
    read: nothing,
  },
};

/** @throws Error naming everything that could not be declared as the contract says. */
export async function declareTopology(
  call: CallManagement,
  users: Readonly<Record<UserName, Credentials>>,
): Promise<void> {
  for (const { name, type } of Object.values(exchanges))
    await put(call, `/api/exchanges/${vhost}/${encodeURIComponent(name)}`, {
      type,
      durable: true,
      auto_delete: false,
      arguments: {},
    });
  const differences: string[] = [];
  for (const queue of Object.values(queues)) differences.push(...(await declareQueue(call, queue)));
  // All are named at once: whoever has to move messages wants to know the whole of it.
  if (differences.length > 0)
    throw new Error(
      `RabbitMQ cannot change a queue's arguments; drain and delete it, then deploy again (docs/aws.md, "A queue changes"): ${differences.join('; ')}`,
    );
  for (const queue of Object.values(queues))
    for (const { exchange, routingKey } of queue.bindings) await bind(call, queue.name, exchange, routingKey);
  for (const [name, allowed] of Object.entries(permissions)) {
    const { username, password } = users[name as UserName];
    await put(call, `/api/users/${encodeURIComponent(username)}`, { password, tags: '' });
    await put(call, `/api/permissions/${vhost}/${encodeURIComponent(username)}`, allowed);
  }
}

const queueSchema = z.object({
  durable: z.boolean(),
  auto_delete: z.boolean(),
  arguments: z.record(z.string(), z.unknown()),
});

/** @returns in words what is different at a queue that exists. */
async function declareQueue(call: CallManagement, queue: Queue): Promise<string[]> {
  const path = `/api/queues/${vhost}/${encodeURIComponent(queue.name)}`;
  const { status, json } = await call('GET', path);
  if (status === 404) {
    await put(call, path, { durable: true, auto_delete: false, arguments: queue.arguments });
    return [];
  }
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(json)}`);
  const found = queueSchema.parse(json);
  const names = new Set([...Object.keys(queue.arguments), ...Object.keys(found.arguments)]);
  const wrong = [...names].filter((name) => found.arguments[name] !== queue.arguments[name]);
  return wrong.map(
    (name) =>
      `queue ${queue.name} has ${name} ${JSON.stringify(found.arguments[name]) ?? 'unset'}, wanted ${JSON.stringify(queue.arguments[name]) ?? 'unset'}`,
  );
}

async function bind(
  call: CallManagement,
  queue: string,
  exchange: string,
  routingKey: string,
): Promise<void> {
  const path = `/api/bindings/${vhost}/e/${encodeURIComponent(exchange)}/q/${encodeURIComponent(queue)}`;
  const { status, json } = await call('POST', path, { routing_key: routingKey, arguments: {} });
  if (status >= 300) throw new Error(`POST ${path}: ${status} ${JSON.stringify(json)}`);
}
async function put(call: CallManagement, path: string, body: unknown): Promise<void> {
  const { status, json } = await call('PUT', path, body);
  // The body may hold a password, so only RabbitMQ's answer is told.
  if (status >= 300) throw new Error(`PUT ${path}: ${status} ${JSON.stringify(json)}`);
}

function exactly(names: readonly string[]): string {
  return `^(${names.map((name) => name.replaceAll('.', String.raw`\.`)).join('|')})$`;
}
