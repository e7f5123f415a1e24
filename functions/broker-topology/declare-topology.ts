// Declares exchanges, queues, bindings and users of contracts/topology.ts through RabbitMQ's management API. Doing it
// again changes nothing. A queue that exists with other arguments is named with the difference and left as it is,
// since RabbitMQ cannot change a queue and deleting one loses its messages. Another number of partitions is taken while the
// item queues are empty: those too many lose their binding, so that whoever still publishes there is told, and are kept.
import { itemQueueName, refusedChange } from '../../contracts/item-partitions.ts';
import {
  exchanges,
  queues,
  queuesOf,
  rabbitmqEventSourcesOf,
  type BrokerUser,
  type Queue,
} from '../../contracts/topology.ts';
import * as z from 'zod';
import type { Credentials } from '../../runtime/secrets.ts';

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
    await put(call, `/api/exchanges/${vhost}/${encodeURIComponent(name)}`, {
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
    for (const { exchange, routingKey } of queue.bindings) await bind(call, queue.name, exchange, routingKey);
  for (const { name, bindings } of bound.slice(itemPartitions))
    for (const binding of bindings) await take(call, `${bindingsOf(name)}/${encodeURIComponent(binding)}`);
  for (const [name, allowed] of Object.entries(permissionsFor(itemPartitions))) {
    const { username, password } = users[name as BrokerUser];
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

const depthSchema = z.object({ messages: z.int().default(0) }); // Up to ten seconds old; none of a new queue.
const bindingsSchema = z.array(z.object({ properties_key: z.string() }));

/** From the first to the last into which is published, with all messages that are not acknowledged. */
async function findItemQueues(
  call: CallManagement,
): Promise<{ name: string; messages: number; bindings: readonly string[] }[]> {
  const found: { name: string; messages: number; bindings: readonly string[] }[] = [];
  for (;;) {
    const name = itemQueueName(found.length);
    const { status, json } = await call('GET', bindingsOf(name));
    if (status !== 200 && status !== 404)
      throw new Error(`GET ${bindingsOf(name)}: ${status} ${JSON.stringify(json)}`);
    const bindings = status === 404 ? [] : bindingsSchema.parse(json);
    if (bindings.length === 0) return found;
    const messages = (await depthOf(call, name)) + (await depthOf(call, `${name}.retry`));
    found.push({ name, messages, bindings: bindings.map((binding) => binding.properties_key) });
  }
}
async function depthOf(call: CallManagement, queue: string): Promise<number> {
  const path = `/api/queues/${vhost}/${encodeURIComponent(queue)}`;
  const { status, json } = await call('GET', path);
  if (status === 404) return 0;
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(json)}`);
  return depthSchema.parse(json).messages;
}
function bindingsOf(queue: string, exchange: string = exchanges.main.name): string {
  return `/api/bindings/${vhost}/e/${encodeURIComponent(exchange)}/q/${encodeURIComponent(queue)}`;
}

async function bind(
  call: CallManagement,
  queue: string,
  exchange: string,
  routingKey: string,
): Promise<void> {
  const path = bindingsOf(queue, exchange);
  const { status, json } = await call('POST', path, { routing_key: routingKey, arguments: {} });
  if (status >= 300) throw new Error(`POST ${path}: ${status} ${JSON.stringify(json)}`);
}
async function take(call: CallManagement, path: string): Promise<void> {
  const { status, json } = await call('DELETE', path);
  if (status >= 300 && status !== 404) throw new Error(`DELETE ${path}: ${status} ${JSON.stringify(json)}`);
}
async function put(call: CallManagement, path: string, body: unknown): Promise<void> {
  const { status, json } = await call('PUT', path, body);
  // The body may hold a password, so only RabbitMQ's answer is told.
  if (status >= 300) throw new Error(`PUT ${path}: ${status} ${JSON.stringify(json)}`);
}

function exactly(names: readonly string[]): string {
  return `^(${names.map((name) => name.replaceAll('.', String.raw`\.`)).join('|')})$`;
}
