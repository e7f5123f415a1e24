// How clients leave the development broker, also without a word: what they held is free for others at once, and no
// client keeps a broker from stopping.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type ChannelModel } from 'amqplib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startDevBroker, type DevBroker } from '../../../emulator/services/dev-broker/dev-broker.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates } from '../../support/certificates.ts';

const credentials = { username: 'test', password: 'test-password' };
const queue = 'held';
let root: string;
let broker: DevBroker;
let ca: string;
let watcher: ChannelModel;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'baton-test-dev-broker-'));
  const { certFile, keyFile, ...made } = await makeCertificates(root);
  ca = made.ca;
  broker = await startDevBroker({
    host: '127.0.0.1',
    port: 0,
    certFile,
    keyFile,
    credentials,
    folder: join(root, 'data'),
    logger: createLogger({ process: 'test', write: () => undefined }),
    onFatal: (error) => {
      throw error;
    },
  });
  watcher = await open();
});
afterEach(async () => {
  await broker.close();
  await rm(root, { recursive: true, force: true });
});

async function open(): Promise<ChannelModel> {
  const connection = await connect(
    { protocol: 'amqps', hostname: '127.0.0.1', port: broker.port, heartbeat: 10, ...credentials },
    { ca: [ca], noDelay: true },
  );
  connection.on('error', () => undefined); // Told by 'close' as well.
  return connection;
}
async function fill(count: number, bytes: number): Promise<void> {
  const channel = await watcher.createConfirmChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  for (let index = 0; index < count; index++) channel.sendToQueue(queue, Buffer.alloc(bytes, index));
  await channel.waitForConfirms();
  await channel.close();
}
/** Takes all it is given and acknowledges nothing. @returns how many it has. */
async function hold(connection: ChannelModel): Promise<() => number> {
  const channel = await connection.createChannel();
  let held = 0;
  await channel.consume(queue, () => (held += 1));
  return () => held;
}

it('a client that froze in the middle of taking much is cut off after two heartbeats, though its socket is full', async () => {
  // More than what the sockets between us take in.
  await fill(40, 1024 * 1024);
  const client = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('holding-client.ts', import.meta.url)),
      JSON.stringify({ port: broker.port, ca, queue, credentials }),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(client, 'exit');
  try {
    await once(client.stdout, 'data');
    client.kill('SIGSTOP');
    const frozenAt = performance.now();
    const look = await watcher.createChannel();
    expect(await look.checkQueue(queue)).toMatchObject({ consumerCount: 1 });
    await expect.poll(() => look.checkQueue(queue)).toMatchObject({ messageCount: 40, consumerCount: 0 });
    expect(performance.now() - frozenAt).toBeGreaterThan(1_500);
  } finally {
    client.kill('SIGKILL');
    await ended;
  }
});

it('when a client has its answer to connection.close, its messages are ready again and its consumer is gone', async () => {
  await fill(100, 1_000);
  const look = await watcher.createChannel();
  // Many times: it is a race that the client must never win.
  for (let round = 0; round < 20; round++) {
    const leaving = await open();
    const held = await hold(leaving);
    await expect.poll(held, { interval: 2 }).toBe(100);
    await leaving.close();
    expect(await look.checkQueue(queue)).toMatchObject({ messageCount: 100, consumerCount: 0 });
  }
});

it('a client that connected and never spoke does not keep the broker from stopping', async () => {
  const mute = connectTcp(broker.port, '127.0.0.1');
  await once(mute, 'connect');
  mute.on('error', () => undefined); // Cut off, which is the point.
  const cut = new Promise((resolve) => mute.once('close', resolve));
  const began = performance.now();
  await broker.close();
  await cut;
  expect(performance.now() - began).toBeLessThan(5_000);
});
