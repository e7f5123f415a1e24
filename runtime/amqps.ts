// How everything of ours reaches RabbitMQ: TLS always verified, every wait bounded.
import { connect, type ChannelModel } from 'amqplib';
import type { Credentials } from '../contracts/secrets.ts';

export interface BrokerAddress {
  /** amqps://host:port/vhost */
  readonly url: string;
  readonly credentials: () => Promise<Credentials>;
  /** PEM of the authority that signed the broker's certificate. */
  readonly ca: string;
}

const connectWithinMs = 5_000;
const heartbeatS = 10; // A broker that falls silent is given up after two of them.

/** The vhost of an AMQP URL: `/` when it names none. */
export function vhostOf(url: string): string {
  const path = new URL(url).pathname;
  return path.length <= 1 ? '/' : decodeURIComponent(path.slice(1));
}

/**
 * `name` is shown in the broker's list of connections. The caller listens to `error`: the library throws where nobody does.
 * @throws Error when the broker cannot be reached in 5 s, or refuses certificate, user or vhost.
 */
export async function connectAmqps(broker: BrokerAddress, name: string): Promise<ChannelModel> {
  const { username, password } = await broker.credentials();
  const { hostname, port } = new URL(broker.url);
  return await connect(
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
      // Without it whoever writes small frames waits 44 ms for a delayed TCP acknowledgement.
      noDelay: true,
      clientProperties: { connection_name: name },
    },
  );
}
