// Declares exchanges, queues, bindings and users of contracts/topology.ts through RabbitMQ's management API. Doing it
// again changes nothing. A queue that exists with other arguments is named with the difference and left as it is,
// since RabbitMQ cannot change a queue and deleting one loses its messages. The number of partitions may change while the
// item queues are empty: queues beyond it are kept, but lose their binding, so that whoever still publishes there is told: on a laptop, emulator/services/declare-topology.ts may delete them, since
// whoever started the system there has stopped all that publishes (docs/decisions/0036).
import * as z from 'zod';
import { itemQueueName, refusedChange } from '../../../contracts/item-partitions.ts';
import { retryQueueOf } from '../../../contracts/queue-names.ts';
import {
  exchanges,
  queues,
  queuesOf,
  rabbitmqEventSourcesOf,
  type BrokerUser,
  type Queue,
} from '../../../contracts/topology.ts';
import type { Credentials } from '../../../contracts/secrets.ts';

/** Resolves with the answer's status and body, whatever it is. */
export type CallManagement = (
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  path: string,
  json?: unknown,
) => Promise<{ status: number; json: unknown }>;

export interface Permissions {
  /** Regular expressions of names, as RabbitMQ wants them. */
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

const vhost = encodeURIComponent('/');
const nothing = '^$';

/** What each user needs and no more: nobody but the administrator may declare or delete. */
export function permissionsFor(itemPartitions: number): Readonly<Record<BrokerUser, Permissions>> {
  return {
    'event-source': {
      configure: nothing,
      write: nothing,
      read: exactly(rabbitmqEventSourcesOf(itemPartitions).map(({ queue }) => queue)),
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
}

/** @throws Error naming everything that could not be declared as the contract says. */
export async function declareTopology(
  call: CallManagement,
  users: Readonly<Record<BrokerUser, Credentials>>,
  itemPartitions = 1,
): Promise<void> {
  const bound = await findItemQueues(call);
  const refused = refusedChange(bound, itemPartitions);
  if (refused !== undefined) throw new Error(refused);
  for (const { name, type } of Object.values(exchanges))
    await ask(call, 'PUT', `/api/exchanges/${vhost}/${encodeURIComponent(name)}`, {
      type,
      durable: true,
      auto_delete: false,
      arguments: {},
    });
  const differences: string[] = [];
  for (const queue of queuesOf(itemPartitions)) differences.push(...(await declareQueue(call, queue)));
  // All are named at once: whoever has to move messages wants to know the whole of it.
  if (differences.length > 0)
    throw new Error(
      `RabbitMQ cannot change a queue's arguments; drain and delete it, then deploy again (docs/aws.md, "A queue changes"): ${differences.join('; ')}`,
    );
  for (const queue of queuesOf(itemPartitions))
    for (const { exchange, routingKey } of queue.bindings)
      await ask(call, 'POST', bindingsOf(queue.name, exchange), { routing_key: routingKey, arguments: {} });
  for (const { name, bindings } of bound.slice(itemPartitions))
    for (const binding of bindings)
      await ask(call, 'DELETE', `${bindingsOf(name)}/${encodeURIComponent(binding)}`);
  for (const [name, allowed] of Object.entries(permissionsFor(itemPartitions))) {
    const { username, password } = users[name as BrokerUser];
    await ask(call, 'PUT', `/api/users/${encodeURIComponent(username)}`, { password, tags: '' });
    await ask(call, 'PUT', `/api/permissions/${vhost}/${encodeURIComponent(username)}`, allowed);
  }
}

/**
 * As administrator. One whose secret holds a new password gets it in RabbitMQ first, by the password before: nobody else knows
 * of the secret. @throws Error when neither is good.
 */
export async function openManagement(
  api: (admin: Credentials) => CallManagement,
  { current, previous }: { current: Credentials; previous: () => Promise<Credentials> },
): Promise<CallManagement> {
  const call = api(current);
  if ((await call('GET', '/api/whoami')).status !== 401) return call;
  const before = await previous().catch((cause: unknown) => {
    throw new Error('RabbitMQ refuses the administrator, and the secret has no value before this one', {
      cause,
    });
  });
  if (before.username !== current.username)
    throw new Error(
      `the secret names ${current.username} and named ${before.username}: the administrator's name stays, only the password changes`,
    );
  await ask(api(before), 'PUT', `/api/users/${encodeURIComponent(current.username)}`, {
    password: current.password,
    tags: 'administrator',
  });
  return call;
}

const queueSchema = z.object({
  durable: z.boolean(),
  auto_delete: z.boolean(),
  arguments: z.record(z.string(), z.unknown()),
});

/** @returns in words what is different at a queue that exists. */
async function declareQueue(call: CallManagement, queue: Queue): Promise<string[]> {
  const path = queuePath(queue.name);
  const json = await ask(call, 'GET', path);
  if (json === undefined) {
    await ask(call, 'PUT', path, { durable: true, auto_delete: false, arguments: queue.arguments });
    return [];
  }
  const found = queueSchema.parse(json);
  const names = new Set([...Object.keys(queue.arguments), ...Object.keys(found.arguments)]);
  const wrong = [...names].filter((name) => found.arguments[name] !== queue.arguments[name]);
  return wrong.map(
    (name) =>
      `queue ${queue.name} has ${name} ${JSON.stringify(found.arguments[name]) ?? 'unset'}, wanted ${JSON.stringify(queue.arguments[name]) ?? 'unset'}`,
  );
}

const depthSchema = z.object({ messages: z.int().default(0) }).default({ messages: 0 }); // Up to ten seconds old; a new queue has none.
const bindingsSchema = z.array(z.object({ properties_key: z.string() })).default([]);

/** Item queues from the first to the last that is published into, each with its messages that are not acknowledged. */
async function findItemQueues(
  call: CallManagement,
): Promise<{ name: string; messages: number; bindings: readonly string[] }[]> {
  const found: { name: string; messages: number; bindings: readonly string[] }[] = [];
  for (;;) {
    const name = itemQueueName(found.length);
    const bindings = bindingsSchema.parse(await ask(call, 'GET', bindingsOf(name)));
    if (bindings.length === 0) return found;
    const messages = (await depthOf(call, name)) + (await depthOf(call, retryQueueOf(name)));
    found.push({ name, messages, bindings: bindings.map((binding) => binding.properties_key) });
  }
}
async function depthOf(call: CallManagement, queue: string): Promise<number> {
  return depthSchema.parse(await ask(call, 'GET', queuePath(queue))).messages;
}
function queuePath(queue: string): string {
  return `/api/queues/${vhost}/${encodeURIComponent(queue)}`;
}
function bindingsOf(queue: string, exchange: string = exchanges.main.name): string {
  return `/api/bindings/${vhost}/e/${encodeURIComponent(exchange)}/q/${encodeURIComponent(queue)}`;
}

/** @returns undefined too where there is nothing to get or to delete. @throws Error for any other refusal. */
async function ask(
  call: CallManagement,
  method: Parameters<CallManagement>[0],
  path: string,
  body?: unknown,
): Promise<unknown> {
  const { status, json } = await call(method, path, body);
  if (status === 404 && (method === 'GET' || method === 'DELETE')) return undefined;
  // What was sent may hold a password, so only RabbitMQ's answer is told.
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`);
  return json;
}

function exactly(names: readonly string[]): string {
  return `^(${names.map((name) => name.replaceAll('.', String.raw`\.`)).join('|')})$`;
}
