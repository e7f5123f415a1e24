// Declares contracts/topology.ts on a broker: exchanges, queues with all their arguments, bindings. Doing it again changes
// nothing; a queue that exists with other arguments is named, since RabbitMQ never changes one. Another number of partitions
// is taken while the item queues are empty, and those too many deleted then. On AWS cdk/ does it.
import type { ChannelModel } from 'amqplib';
import { itemQueueName, refusedChange, type FoundItemQueue } from '../../contracts/item-partitions.ts';
import { retryQueueOf } from '../../contracts/queue-names.ts';
import { exchanges, queuesOf } from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import { connectAmqps, type BrokerAddress } from '../../runtime/amqps.ts';

const notFound = 404; // AMQP's reply code.

/**
 * Nobody consumes yet.
 * @throws Error naming the exchange, or the queue and its argument, that exists in another shape; or the item queues that hold
 * messages while they are to become more or fewer.
 */
export async function declareTopology(broker: BrokerAddress, itemPartitions = 1): Promise<void> {
  const connection = await connectAmqps(broker, 'topology');
  connection.on('error', () => undefined); // The pending call rejects with the same error.
  try {
    const found = await findItemQueues(connection);
    const refused = refusedChange(found, itemPartitions);
    if (refused !== undefined) throw new Error(refused);
    for (const { name, type } of Object.values(exchanges))
      await onOwnChannel(connection, `exchange ${name}`, (channel) =>
        channel.assertExchange(name, type, { durable: true }),
      );
    for (const { name, arguments: wanted, bindings } of queuesOf(itemPartitions)) {
      await onOwnChannel(connection, `queue ${name}`, (channel) =>
        channel.assertQueue(name, { durable: true, arguments: wanted }),
      );
      for (const { exchange, routingKey } of bindings)
        await onOwnChannel(connection, `binding of ${name}`, (channel) =>
          channel.bindQueue(name, exchange, routingKey),
        );
    }
    // The last first: those that are left when this is cut off are still counted from the first.
    for (const { name } of found.slice(itemPartitions).toReversed())
      for (const unused of [retryQueueOf(name), name])
        await onOwnChannel(connection, `the end of ${unused}`, (channel) => channel.deleteQueue(unused));
  } finally {
    await connection.close().catch(() => undefined); // Closed already, by the error that is on its way up.
  }
}

/** The item queues that exist, from the first to the last. */
async function findItemQueues(connection: ChannelModel): Promise<FoundItemQueue[]> {
  const found: FoundItemQueue[] = [];
  for (;;) {
    const name = itemQueueName(found.length);
    const depth = await depthOf(connection, name);
    if (depth === undefined) return found;
    found.push({ name, messages: depth + ((await depthOf(connection, retryQueueOf(name))) ?? 0) });
  }
}
async function depthOf(connection: ChannelModel, queue: string): Promise<number | undefined> {
  const channel = await connection.createChannel();
  let missing = false;
  channel.on('error', (error: { code?: unknown }) => (missing = error.code === notFound));
  try {
    const { messageCount } = await channel.checkQueue(queue);
    await channel.close();
    return messageCount;
  } catch (error) {
    if (missing) return undefined;
    throw error;
  }
}

/** The broker closes the channel of a declaration that it refuses, so each has its own. */
async function onOwnChannel(
  connection: ChannelModel,
  what: string,
  declare: (channel: Awaited<ReturnType<ChannelModel['createChannel']>>) => Promise<unknown>,
): Promise<void> {
  const channel = await connection.createChannel();
  channel.on('error', () => undefined);
  try {
    await declare(channel);
  } catch (cause) {
    throw new Error(
      `${what} cannot be declared as contracts/topology.ts says: ${describeError(cause)}. A queue with other arguments has to be emptied and deleted first`,
      { cause },
    );
  }
  await channel.close();
}
