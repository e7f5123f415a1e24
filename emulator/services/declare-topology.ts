// Declares contracts/topology.ts on a broker: exchanges, queues with all their arguments, bindings. Doing it again changes
// nothing; a queue that exists with other arguments is named, since RabbitMQ never changes one. On AWS cdk/ does it.
import { connect, type ChannelModel } from 'amqplib';
import { exchanges, queues } from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import { vhostOf, type BrokerAddress } from '../event-sources/rabbitmq-feed.ts';

const connectWithinMs = 5_000;
const heartbeatS = 5; // A broker that falls silent is given up after two of them.

/** @throws Error naming the exchange, or the queue and its argument, that exists in another shape. */
export async function declareTopology(broker: BrokerAddress): Promise<void> {
  const { username, password } = await broker.credentials();
  const { hostname, port } = new URL(broker.url);
  const connection = await connect(
    {
      protocol: 'amqps',
      hostname,
      port: Number(port === '' ? 5671 : port),
      username,
      password,
      vhost: vhostOf(broker.url),
      heartbeat: heartbeatS,
    },
    {
      ca: [broker.ca],
      minVersion: 'TLSv1.2',
      timeout: connectWithinMs,
      noDelay: true,
      clientProperties: { connection_name: 'topology' },
    },
  );
  connection.on('error', () => undefined); // The pending call rejects with the same error.
  try {
    for (const { name, type } of Object.values(exchanges))
      await once(connection, `exchange ${name}`, (channel) =>
        channel.assertExchange(name, type, { durable: true }),
      );
    for (const { name, arguments: wanted, bindings } of Object.values(queues)) {
      await once(connection, `queue ${name}`, (channel) =>
        channel.assertQueue(name, { durable: true, arguments: wanted }),
      );
      for (const { exchange, routingKey } of bindings)
        await once(connection, `binding of ${name}`, (channel) =>
          channel.bindQueue(name, exchange, routingKey),
        );
    }
  } finally {
    await connection.close().catch(() => undefined); // Closed already, by the error that is on its way up.
  }
}

/** On a channel of its own: the broker closes the channel of a declaration that it refuses. */
async function once(
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
