// What is the development broker's own: what it refuses, how it bounds itself, and how it lives with its disk. It runs in
// this process here, except where it is killed.
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { connect, type ChannelModel, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pause } from '../../../runtime/waiting.ts';
import { startDevBroker, type DevBroker } from '../../../emulator/services/dev-broker/dev-broker.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { startTestBroker } from '../../support/broker.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';

const quorum = { 'x-queue-type': 'quorum' };
const credentials = { username: 'test', password: 'test-password' };
let certificates: TestCertificates;
let root: string;
let folder: string;
let broker: DevBroker;
const connections: ChannelModel[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'baton-test-dev-broker-'));
  certificates = await makeCertificates(root);
});
afterAll(() => rm(root, { recursive: true, force: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'data-'));
  broker = await start();
});
afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close().catch(() => undefined); // Closed already.
  await broker.close();
});

function start(options: { cachedBytes?: number } = {}): Promise<DevBroker> {
  return startDevBroker({
    host: '127.0.0.1',
    port: 0,
    certFile: certificates.certFile,
    keyFile: certificates.keyFile,
    credentials,
    folder,
    logger: createLogger({ process: 'test', write: () => undefined }),
    onFatal: (error) => {
      throw error;
    },
    ...options,
  });
}
async function restart(options: { cachedBytes?: number } = {}): Promise<void> {
  await broker.close();
  broker = await start(options);
}
async function open({ heartbeat = 10, port = broker.port } = {}): Promise<ChannelModel> {
  const connection = await connect(
    { protocol: 'amqps', hostname: '127.0.0.1', port, heartbeat, ...credentials },
    { ca: [certificates.ca], noDelay: true },
  );
  connection.on('error', () => undefined); // Told by 'close' as well.
  connections.push(connection);
  return connection;
}
async function openChannel(): Promise<ConfirmChannel> {
  const channel = await (await open()).createConfirmChannel();
  channel.on('error', () => undefined); // Told through its calls as well.
  return channel;
}
/** With what the broker gave as the reason. Not `once`: that rejects when an error comes first. */
const closeOf = (connection: ChannelModel): Promise<unknown> =>
  new Promise((resolve) => connection.once('close', resolve));
/** Stands between one client and the broker, and can stop taking what the broker sends. */
async function startRelay(): Promise<{ port: number; pause(): void; resume(): void; close(): void }> {
  const upstream = connectTcp(broker.port, '127.0.0.1');
  const server = createServer((client) => {
    client.pipe(upstream);
    upstream.on('data', (chunk) => client.write(chunk));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    pause: () => upstream.pause(),
    resume: () => upstream.resume(),
    close() {
      server.close();
      upstream.destroy();
    },
  };
}

describe('what it does not have', () => {
  it.each<[string, (channel: ConfirmChannel) => unknown]>([
    ['an exclusive queue', (channel) => channel.assertQueue('q', { exclusive: true })],
    ['a transient queue', (channel) => channel.assertQueue('q', { durable: false })],
    ['a queue named by the server', (channel) => channel.assertQueue('')],
    ['an unknown argument', (channel) => channel.assertQueue('q', { arguments: { 'x-max-priority': 3 } })],
    ['a headers exchange', (channel) => channel.assertExchange('e', 'headers')],
    ['an exchange bound to an exchange', (channel) => channel.bindExchange('amq.topic', 'amq.fanout', '')],
    ['a prefetch for the whole channel', (channel) => channel.prefetch(1, true)],
    ['a copy for others', (channel) => channel.sendToQueue('q', Buffer.from('x'), { CC: 'other' })],
  ])('%s is refused with 540 instead of ignored, and nobody else notices', async (_what, ask) => {
    const [bystander, connection] = [await openChannel(), await open()];
    const channel = await connection.createConfirmChannel();
    const closed = closeOf(connection);
    await Promise.resolve(ask(channel)).catch(() => undefined); // Told by 'close' as well.
    expect(String(await closed)).toMatch(/540 .*NOT_IMPLEMENTED - the development broker has no /);
    expect(await bystander.assertQueue('theirs', { arguments: quorum })).toMatchObject({ messageCount: 0 });
  });

  it('another vhost is refused', async () => {
    const asking = connect(
      { protocol: 'amqps', hostname: '127.0.0.1', port: broker.port, vhost: 'other', ...credentials },
      { ca: [certificates.ca] },
    );
    await expect(asking).rejects.toThrow('ConnectionClose');
  });

  it('a client without TLS gets no answer in clear', async () => {
    const socket = connectTcp(broker.port, '127.0.0.1');
    socket.on('error', () => undefined); // Cut off is what is expected.
    socket.write('AMQP\0\0\x09\x01');
    const heard: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => heard.push(chunk));
    await once(socket, 'close');
    expect(Buffer.concat(heard).toString('latin1')).not.toContain('AMQP');
  });

  it('a client of another protocol is told which one is spoken here', async () => {
    const socket = connectTls({ port: broker.port, host: '127.0.0.1', ca: certificates.ca });
    socket.write('GET / HTTP/1.1\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString('latin1')).toBe('AMQP\0\0\x09\x01');
    await once(socket, 'close');
  });
});

describe('bounds', () => {
  it('a message over 16 MB closes its channel with 311, and the connection goes on', async () => {
    const connection = await open();
    const [channel, other] = [await connection.createConfirmChannel(), await connection.createChannel()];
    const failed = new Promise((resolve) => channel.once('error', resolve));
    channel.publish('', 'nowhere', Buffer.alloc(16 * 1024 * 1024 + 1));
    expect(String(await failed)).toMatch(/311/);
    await other.assertQueue('q', { arguments: quorum });
  });

  it('a consumer that does not read is not written to without end, and misses nothing', async () => {
    const publisher = await openChannel();
    await publisher.assertQueue('q', { arguments: quorum });
    const count = 60;
    for (let index = 0; index < count; index++)
      publisher.sendToQueue('q', Buffer.alloc(1024 * 1024, index), { persistent: true });
    await publisher.waitForConfirms();
    const relay = await startRelay();
    const slow = await open({ port: relay.port });
    const consumer = await slow.createChannel();
    const got: number[] = [];
    relay.pause();
    const consuming = consumer.consume('q', (message) => got.push(message?.content[0] ?? -1), {
      noAck: true,
    });
    // Until nothing moves any more: what the sockets hold has left the queue.
    let [before, now] = [-1, -2];
    while (before !== now) {
      before = now;
      await pause(100);
      now = (await publisher.checkQueue('q')).messageCount;
    }
    expect(now).toBeGreaterThan(count / 2);
    relay.resume();
    await consuming;
    await expect.poll(() => got.length).toBe(count);
    expect(got).toEqual(Array.from({ length: count }, (_, index) => index));
    await slow.close();
    relay.close();
  });

  it('messages beyond what may lie in memory come from disk, in their order', async () => {
    await restart({ cachedBytes: 5_000 });
    const channel = await openChannel();
    await channel.assertQueue('q', { arguments: quorum });
    const bodies = Array.from({ length: 100 }, (_, index) => `${index} `.padEnd(1_000, 'x'));
    for (const body of bodies) channel.sendToQueue('q', Buffer.from(body), { persistent: true });
    await channel.waitForConfirms();
    const got: string[] = [];
    await channel.prefetch(7);
    await channel.consume('q', (message) => {
      if (!message) return;
      got.push(message.content.toString());
      channel.ack(message);
    });
    await expect.poll(() => got.length).toBe(100);
    expect(got).toEqual(bodies);
  });
});

describe('heartbeats', () => {
  it('a quiet client that sends them stays; one that falls silent is cut off and its messages come back', async () => {
    const [quiet, silent, channel] = [
      await open({ heartbeat: 1 }),
      await open({ heartbeat: 1 }),
      await openChannel(),
    ];
    await channel.assertQueue('q', { arguments: quorum });
    channel.sendToQueue('q', Buffer.from('held'));
    await channel.waitForConfirms();
    await (await silent.createChannel()).get('q');
    const heart = (silent.connection as unknown as { heartbeater: { clear(): void } }).heartbeater;
    heart.clear();
    const closed = closeOf(silent);
    const began = performance.now();
    await closed;
    expect(performance.now() - began).toBeGreaterThan(1_500);
    expect(performance.now() - began).toBeLessThan(4_500);
    expect(await channel.get('q')).toMatchObject({ fields: { redelivered: true } });
    expect(await (await quiet.createChannel()).checkQueue('q')).toMatchObject({ queue: 'q' });
  });
});

describe('dead letters', () => {
  it('wait in their queue while the next one is full, and go on when it has room', async () => {
    const channel = await openChannel();
    await channel.assertQueue('dead', {
      arguments: { ...quorum, 'x-max-length': 1, 'x-overflow': 'reject-publish' },
    });
    await channel.assertQueue('q', {
      arguments: {
        ...quorum,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'dead',
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      },
    });
    for (const body of ['a', 'b']) channel.sendToQueue('q', Buffer.from(body));
    await channel.waitForConfirms();
    for (const body of ['a', 'b']) {
      const message = await channel.get('q');
      expect(message).toMatchObject({ content: Buffer.from(body) });
      if (message) channel.reject(message, false);
    }
    const dead: string[] = [];
    const takeDead = async (): Promise<string[]> => {
      const letter = await channel.get('dead', { noAck: true });
      if (letter) dead.push(letter.content.toString());
      return dead;
    };
    await expect.poll(takeDead).toEqual(['a']);
    await expect.poll(takeDead).toEqual(['a', 'b']);
    // A letter that is delivered is gone from where it came from, also for the next start.
    await restart();
    expect(await (await openChannel()).checkQueue('q')).toMatchObject({ messageCount: 0 });
  });

  it('keep numbers that are no whole ones', async () => {
    const channel = await openChannel();
    await channel.assertQueue('end', { arguments: quorum });
    await channel.assertQueue('q', {
      arguments: { ...quorum, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'end' },
    });
    const numbers = [NaN, -Infinity, Infinity, 2 ** 51 + 0.5, -1e300, 1e300, 0.5];
    const headers = { list: numbers.map((value) => ({ '!': 'double', value })) };
    channel.sendToQueue('q', Buffer.from('x'), { headers, persistent: true });
    await channel.waitForConfirms();
    const delivered = await channel.get('q', { noAck: false });
    if (!delivered) throw new Error('nothing came');
    channel.nack(delivered, false, false);
    await expect.poll(async () => (await channel.checkQueue('end')).messageCount).toBe(1);
    await restart();
    const dead = await (await openChannel()).get('end', { noAck: true });
    expect(dead).toMatchObject({ properties: { headers: { list: numbers } } });
  });

  it('that would go round for ever are dropped', async () => {
    const channel = await openChannel();
    const table = (next: string): Record<string, unknown> => ({
      ...quorum,
      'x-message-ttl': 20,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': next,
    });
    await channel.assertQueue('a', { arguments: table('b') });
    await channel.assertQueue('b', { arguments: table('a') });
    channel.sendToQueue('a', Buffer.from('round'));
    await channel.waitForConfirms();
    const depths = async (): Promise<number> =>
      (await channel.checkQueue('a')).messageCount + (await channel.checkQueue('b')).messageCount;
    await expect.poll(depths).toBe(0);
    await pause(100);
    expect(await depths()).toBe(0);
  });
});

describe('its folder', () => {
  it('belongs to one broker at a time', async () => {
    await expect(start()).rejects.toThrow(new RegExp(`another broker already runs on ${folder}`));
  });

  it('with definitions that are broken or missing is not started on, and says which file', async () => {
    const channel = await openChannel();
    await channel.assertQueue('q', { arguments: quorum });
    const path = join(folder, 'definitions.json');
    const whole = await readFile(path, 'utf8');
    await broker.close();
    await writeFile(path, whole.slice(0, -5));
    await expect(start()).rejects.toThrow(`${path} cannot be understood`);
    await rm(path);
    await expect(start()).rejects.toThrow(`${path} is missing`);
    await writeFile(path, whole);
    broker = await start();
    expect(await (await openChannel()).checkQueue('q')).toMatchObject({ queue: 'q' });
  });

  it('of a deleted queue gives nothing to a new one of the same name', async () => {
    const channel = await openChannel();
    await channel.assertQueue('q', { arguments: quorum });
    channel.sendToQueue('q', Buffer.from('old'));
    await channel.waitForConfirms();
    expect(await channel.deleteQueue('q')).toEqual({ messageCount: 1 });
    await channel.assertQueue('q', { arguments: quorum });
    await restart();
    expect(await (await openChannel()).checkQueue('q')).toMatchObject({ messageCount: 0 });
  });
});

describe('the end', () => {
  it('is told to clients with 320', async () => {
    const connection = await open();
    const closed = closeOf(connection);
    await restart();
    expect(await closed).toMatchObject({ code: 320 });
  });

  it('by kill -9 at any moment of a busy life loses nothing that was confirmed', async () => {
    const killed = await startTestBroker('development');
    try {
      const confirmed = new Set<string>();
      for (let round = 0; round < 3; round++) {
        const connection = await killed.connect();
        const channel = await connection.createConfirmChannel();
        channel.on('error', () => undefined); // It is killed.
        await channel.assertQueue('q', { arguments: quorum });
        let number = 0;
        const publishing = setInterval(() => {
          for (let index = 0; index < 50; index++) {
            const body = `${round}/${number++}`;
            channel.sendToQueue(
              'q',
              Buffer.from(body.padEnd(500)),
              { persistent: true },
              (error: unknown) => {
                if (error === null) confirmed.add(body);
              },
            );
          }
        }, 2);
        await expect.poll(() => confirmed.size).toBeGreaterThan(500 * (round + 1));
        const gone = closeOf(connection);
        connection.once('close', () => clearInterval(publishing));
        await Promise.all([killed.crash(), gone]);
      }
      const connection = await killed.connect();
      const channel = await connection.createChannel();
      const found = new Set<string>();
      const { messageCount } = await channel.checkQueue('q');
      await channel.consume('q', (message: ConsumeMessage | null) =>
        found.add(message?.content.toString().trimEnd() ?? ''),
      );
      await expect.poll(() => found.size).toBe(messageCount);
      expect([...confirmed].filter((body) => !found.has(body))).toEqual([]);
      await connection.close();
    } finally {
      await killed.close();
    }
  });
});
