// ftp-sync against our FTPS server and an HTTPS receiver: what is taken, moved, rejected and left.
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFtpServer, type FtpServer } from '../../../emulator/services/ftp-server/ftp-server.ts';
import type { FtpFault } from '../../../emulator/services/ftp-server/faults.ts';
import { FtpClient } from '../../../functions/ftp-sync/ftp-client.ts';
import { handleEvent } from '../../../functions/ftp-sync/handle-event.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { startFileReceiver } from '../../support/file-receiver.ts';
import { freePort } from '../../support/ports.ts';

const user = { username: 'baton', password: 'secret words' };
let folder: string;
let root: string;
let faults: FtpFault[];
let certificates: TestCertificates;
let server: FtpServer;
let ftp: FtpClient;
let receiver: Awaited<ReturnType<typeof startFileReceiver>>;
let published: { exchange: string; routingKey: string; headers?: Record<string, string | number> }[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-ftp-'));
  root = join(folder, 'root');
  for (const name of ['in', 'done', 'rejected', 'out']) await mkdir(join(root, name), { recursive: true });
  certificates = await makeCertificates(folder);
  faults = [];
  published = [];
  server = await startFtpServer({
    host: '127.0.0.1',
    port: await freePort(), // It is given up and taken again.
    root,
    tls: certificates,
    users: [user],
    faults,
  });
  receiver = await startFileReceiver(certificates);
  ftp = clientAt(server.port);
});
afterEach(async () => {
  ftp.close();
  await receiver.close();
  await server.close();
  await rm(folder, { recursive: true });
});

function clientAt(port: number): FtpClient {
  return new FtpClient(
    {
      host: '127.0.0.1',
      port,
      root: '/',
      credentials: () => Promise.resolve(user),
      ca: () => Promise.resolve(certificates.ca),
    },
    { socketTimeoutMs: 2_000 },
  );
}
async function run(event: unknown): Promise<void> {
  await handleEvent(
    {
      leader: receiver.leader,
      ftp,
      logger: createLogger({ process: 'ftp-sync', write: () => undefined }),
      broker: () =>
        Promise.resolve({
          publish: (message) => {
            published.push(message);
            return Promise.resolve();
          },
        }),
    },
    event,
    { deadline: performance.now() + 20_000, owner: 'test' },
  );
}
const tick = {
  Records: [
    {
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:eu-central-1:000000000000:baton-tick',
      attributes: { SentTimestamp: '1790000000000' },
    },
  ],
};
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const message = (body: unknown, type = 'file-command') => ({
  eventSource: 'aws:rmq',
  eventSourceArn: 'arn:aws:mq:x',
  rmqMessagesByQueue: {
    'files::/': [
      {
        basicProperties: { type, messageId: 'm-1', bodySize: 1, headers: { 'x-attempt': 2 } },
        redelivered: false,
        data: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)).toString('base64'),
      },
    ],
  },
});
const put = (name: string, content: string | Buffer) => writeFile(join(root, 'in', name), content);
const names = (name: string) => readdir(join(root, name)).then((found) => found.toSorted());

test('a tick takes whole files (spaces and UTF-8 in names too) byte for byte to the leader and to done/, and leaves dot and part files', async () => {
  const large = Buffer.alloc(3_000_000, 'abcdefg\n');
  await put('shop_größe 1.csv', 'sku\n1\n');
  await put('shop_large.ndjson', large);
  await put('shop_b.csv.part', 'x');
  await put('.shop_c.csv.part', 'x');
  await run(tick);
  expect(receiver.received.map((file) => file.name).toSorted()).toEqual([
    'shop_größe 1.csv',
    'shop_large.ndjson',
  ]);
  expect(receiver.received.find((file) => file.name === 'shop_large.ndjson')?.bytes.equals(large)).toBe(true);
  expect(await names('done')).toEqual(['shop_größe 1.csv', 'shop_large.ndjson']);
  expect(await names('in')).toEqual(['.shop_c.csv.part', 'shop_b.csv.part']);
  expect(receiver.outcomes).toContainEqual({
    name: 'shop_large.ndjson',
    movedTo: 'done/shop_large.ndjson',
    reason: null,
  });
  expect(receiver.events.map((event) => event.type)).toContain('tick.received');
});

test('a file that grows, or is overwritten with the same size, between the looks is left for the next tick', async () => {
  await put('shop_grows.csv', 'sku\n');
  await put('shop_same.csv', 'aaaa');
  await utimes(join(root, 'in', 'shop_same.csv'), new Date(1_700_000_000_000), new Date(1_700_000_000_000));
  const timer = setTimeout(() => {
    void put('shop_grows.csv', 'sku\n1\n');
    void put('shop_same.csv', 'bbbb');
  }, 1_000);
  await run(tick);
  clearTimeout(timer);
  expect(receiver.opened).toEqual([]);
  expect(await names('in')).toEqual(['shop_grows.csv', 'shop_same.csv']);
});

test('a transfer cut short with a clean end and 226 is never applied, and is applied whole by the next try', async () => {
  await put('shop_cut.csv', 'x'.repeat(300_000));
  faults.push({ kind: 'truncate', afterBytes: 50_000, times: 1 });
  const deposited = message({ version: 1, traceparent, kind: 'deposited', name: 'shop_cut.csv' });
  await run(deposited);
  expect(receiver.received).toEqual([]);
  expect(await names('in')).toEqual(['shop_cut.csv']);
  expect(published).toMatchObject([
    { exchange: 'baton.retry', routingKey: 'files.retry', headers: { 'x-attempt': 3 } },
  ]);
  await run(deposited);
  expect(receiver.received[0]?.bytes.length).toBe(300_000);
  expect(await names('done')).toEqual(['shop_cut.csv']);
});

test.each([
  ['reset', { kind: 'reset', afterBytes: 50_000, times: 1 }],
  ['stalled', { kind: 'stall', afterBytes: 50_000, times: 1 }],
] as const)('a %s transfer leaves the file in in/ and the next try takes it', async (_name, fault) => {
  await put('shop_odd.csv', 'x'.repeat(300_000));
  faults.push({ ...fault });
  const deposited = message({ version: 1, traceparent, kind: 'deposited', name: 'shop_odd.csv' });
  await run(deposited);
  expect([receiver.received.length, await names('in')]).toEqual([0, ['shop_odd.csv']]);
  await run(deposited);
  expect(await names('done')).toEqual(['shop_odd.csv']);
});

test('broken files and unknown names go to rejected/ with the reason beside them; one bad listing date hides nothing', async () => {
  await put('shop_bad.csv', 'POISON');
  await put('readme.txt', 'hello');
  receiver.orders.rejectContaining = 'POISON';
  faults.push({ kind: 'bad-listing-date', name: 'readme' });
  await run(tick);
  expect(await names('rejected')).toEqual([
    'readme.txt',
    'readme.txt.reason.txt',
    'shop_bad.csv',
    'shop_bad.csv.reason.txt',
  ]);
  expect(await readFile(join(root, 'rejected', 'shop_bad.csv.reason.txt'), 'utf8')).toContain(
    'row 2: price: expected number',
  );
  receiver.orders.rejectContaining = undefined;
  await run(message({ version: 1, traceparent, kind: 'retry', name: 'shop_bad.csv' }));
  expect(await names('done')).toEqual(['shop_bad.csv']);
  expect(await names('rejected')).toEqual(['readme.txt', 'readme.txt.reason.txt']);
});

test('a taken name in done/ is numbered, and nothing is overwritten', async () => {
  await writeFile(join(root, 'done', 'shop_a.csv'), 'old');
  await put('shop_a.csv', 'new');
  await run(message({ version: 1, traceparent, kind: 'deposited', name: 'shop_a.csv' }));
  expect(await names('done')).toEqual(['shop_a.csv', 'shop_a_2.csv']);
  expect(await readFile(join(root, 'done', 'shop_a.csv'), 'utf8')).toBe('old');
});

test('the export appears whole in out/', async () => {
  await run(message({ version: 1, traceparent, kind: 'export' }));
  expect(await names('out')).toEqual(['items.csv', 'items.ndjson']);
  expect(await readFile(join(root, 'out', 'items.csv'), 'utf8')).toBe('source,sku\nshop,1\n');
});

test.each([
  ['not JSON', '{', 'MESSAGE_MALFORMED'],
  [
    'a name that climbs',
    { version: 1, traceparent, kind: 'deposited', name: '../done/x.csv' },
    'MESSAGE_MALFORMED',
  ],
  ['a newer version', { version: 2, traceparent, kind: 'sync' }, 'VERSION_UNSUPPORTED'],
])('poison (%s) is dead-lettered with a reason and succeeds', async (_name, body, code) => {
  await run(message(body));
  expect(published).toMatchObject([
    { exchange: 'baton.dead', routingKey: 'files.dead', headers: { 'x-baton-code': code } },
  ]);
});

test('while another worker holds the lease a tick ends quietly and a named file waits', async () => {
  receiver.orders.leaseHeld = true;
  await put('shop_a.csv', 'a');
  await run(tick);
  expect([receiver.opened, published]).toEqual([[], []]);
  await run(message({ version: 1, traceparent, kind: 'deposited', name: 'shop_a.csv' }));
  expect(published).toMatchObject([{ routingKey: 'files.retry' }]);
});

test('a server that dies in the middle of a transfer and comes back loses and doubles nothing', async () => {
  await put('shop_a.csv', 'x'.repeat(300_000));
  faults.push({ kind: 'stall', afterBytes: 50_000, times: 1 });
  const deposited = message({ version: 1, traceparent, kind: 'deposited', name: 'shop_a.csv' });
  const first = run(deposited);
  await expect.poll(() => receiver.opened.length).toBe(1);
  const { port } = server;
  await server.close();
  await first;
  server = await startFtpServer({ host: '127.0.0.1', port, root, tls: certificates, users: [user], faults });
  // A connection that nobody has noticed is dead yet costs a try: the message comes again then.
  await expect
    .poll(
      async () => {
        await run(deposited);
        return receiver.received.map((file) => file.bytes.length);
      },
      { timeout: 15_000 },
    )
    .toEqual([300_000]);
  expect(await names('done')).toEqual(['shop_a.csv']);
});
