// ftp-sync against our FTPS server and an HTTPS receiver: what is taken, moved, rejected and left.
import { mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
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
        basicProperties: { type, messageId: 'm-1', bodySize: 1, headers: { 'x-baton-attempt': 2 } },
        redelivered: false,
        data: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)).toString('base64'),
      },
    ],
  },
});
/** A minute ago. */
const put = async (name: string, content: string | Buffer): Promise<void> => {
  const path = join(root, 'in', name);
  await writeFile(path, content);
  const then = new Date(Date.now() - 60_000);
  await utimes(path, then, then);
};
/** What lies there, with `.ID` where the id of a file's row stands in its name. */
const names = (name: string) =>
  readdir(join(root, name)).then((found) =>
    found.map((each) => each.replace(/\.baton-[0-9a-f-]{36}/, '.ID')).toSorted(),
  );
const takenName = (name: string, index = 0): string => {
  const { id } = receiver.opened.filter((file) => file.name === name)[index] ?? { id: '?' };
  return name.replace('.', `.baton-${id}.`);
};

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
  expect(await names('done')).toEqual(['shop_größe 1.ID.csv', 'shop_large.ID.ndjson']);
  expect(await names('in')).toEqual(['.shop_c.csv.part', 'shop_b.csv.part']);
  expect(receiver.outcomes).toContainEqual({
    name: 'shop_large.ndjson',
    movedTo: `done/${takenName('shop_large.ndjson')}`,
    reason: null,
  });
  expect(receiver.events).toContainEqual(
    expect.objectContaining({ type: 'tick.received', outcome: 'done' }) as unknown,
  );
});

test('a file that grows, or is overwritten with the same size, between the looks is left for the next tick', async () => {
  await put('shop_grows.csv', 'sku\n');
  await put('shop_same.csv', 'aaaa');
  await utimes(join(root, 'in', 'shop_same.csv'), new Date(1_700_000_000_000), new Date(1_700_000_000_000));
  const look = ftp.look.bind(ftp);
  const later = new Map([
    ['in/shop_grows.csv', 'sku\n1\n'],
    ['in/shop_same.csv', 'bbbb'],
  ]);
  let looks = 0;
  ftp.look = async (path) => {
    const seen = await look(path);
    looks += 1;
    const text = later.get(path);
    if (later.delete(path)) await put(basename(path), text ?? '');
    return seen;
  };
  await run(tick);
  expect(looks).toBe(4);
  expect(receiver.opened).toEqual([]);
  expect(await names('in')).toEqual(['shop_grows.csv', 'shop_same.csv']);
});

test('a file that was written a moment ago is left to a later tick, and taken by whoever asks for it now', async () => {
  await put('shop_stalls.csv', 'sku\n1\n');
  await utimes(join(root, 'in', 'shop_stalls.csv'), new Date(), new Date(Date.now() - 20_000));
  await put('shop_crawl-1.ndjson', '{}\n'); // Deposited by renaming.
  await utimes(join(root, 'in', 'shop_crawl-1.ndjson'), new Date(), new Date());
  await run(tick);
  expect(await names('in')).toEqual(['shop_stalls.csv']);
  await utimes(join(root, 'in', 'shop_stalls.csv'), new Date(), new Date(Date.now() - 40_000));
  await run(tick);
  expect(await names('in')).toEqual([]);
  await put('shop_new.csv', 'sku\n1\n');
  await utimes(join(root, 'in', 'shop_new.csv'), new Date(), new Date());
  await run(message({ version: 1, traceparent, kind: 'sync' }));
  expect(await names('in')).toEqual([]);
});

test('beside an applied file with bad rows lies what is wrong with it, and its event has the counts', async () => {
  const problems = ['row 2: price: expected number'];
  const incomplete = 'it does not name 26 of 50 items';
  receiver.orders.answer = { rows: 4, applied: 2, unchanged: 1, invalid: 1, problems, incomplete };
  await put('shop_a.csv', 'a');
  await run(message({ version: 1, traceparent, kind: 'deposited', name: 'shop_a.csv' }));
  expect(await names('done')).toEqual(['shop_a.ID.csv', 'shop_a.ID.csv.reason.txt']);
  expect(await readFile(join(root, 'done', `${takenName('shop_a.csv')}.reason.txt`), 'utf8')).toBe(
    'applied: of 4 rows 2 changed something, 1 nothing, 0 came too late, 1 are bad; 0 items vanished\nit does not name 26 of 50 items\nrow 2: price: expected number\n',
  );
  expect(receiver.events).toContainEqual(
    expect.objectContaining({ type: 'file.changed', rows: 4, applied: 2, invalid: 1, problems, incomplete }),
  );
});

test('a transfer cut short with a clean end and 226 is never applied, and is applied whole by the next try', async () => {
  await put('shop_cut.csv', 'x'.repeat(300_000));
  faults.push({ kind: 'truncate', afterBytes: 50_000, times: 1 });
  const deposited = message({ version: 1, traceparent, kind: 'deposited', name: 'shop_cut.csv' });
  await run(deposited);
  expect(receiver.received).toEqual([]);
  expect(await names('in')).toEqual(['shop_cut.ID.csv']);
  expect(published).toEqual([]); // The ticks go on with what lies in in/.
  await run(tick);
  expect(receiver.received[0]?.bytes.length).toBe(300_000);
  expect(await names('done')).toEqual(['shop_cut.ID.csv']);
});

test.each([
  ['reset', { kind: 'reset', afterBytes: 50_000, times: 1 }],
  ['stalled', { kind: 'stall', afterBytes: 50_000, times: 1 }],
] as const)('a %s transfer leaves the file in in/ and the next try takes it', async (_name, fault) => {
  await put('shop_odd.csv', 'x'.repeat(300_000));
  faults.push({ ...fault });
  const deposited = message({ version: 1, traceparent, kind: 'deposited', name: 'shop_odd.csv' });
  await run(deposited);
  expect([receiver.received.length, await names('in')]).toEqual([0, ['shop_odd.ID.csv']]);
  await run(deposited);
  expect(await names('done')).toEqual(['shop_odd.ID.csv']);
});

test('broken files and unknown names go to rejected/ with the reason beside them; one bad listing date hides nothing', async () => {
  await put('shop_bad.csv', 'POISON');
  await put('readme.txt', 'hello');
  receiver.orders.rejectContaining = 'POISON';
  faults.push({ kind: 'bad-listing-date', name: 'readme' });
  await run(tick);
  expect(await names('rejected')).toEqual([
    'readme.txt.ID',
    'readme.txt.ID.reason.txt',
    'shop_bad.ID.csv',
    'shop_bad.ID.csv.reason.txt',
  ]);
  expect(await readFile(join(root, 'rejected', `${takenName('shop_bad.csv')}.reason.txt`), 'utf8')).toContain(
    'row 2: price: expected number',
  );
  receiver.orders.rejectContaining = undefined;
  await run(message({ version: 1, traceparent, kind: 'retry', name: takenName('shop_bad.csv') }));
  expect(await names('done')).toEqual(['shop_bad.ID.csv']);
  expect(await names('rejected')).toEqual(['readme.txt.ID', 'readme.txt.ID.reason.txt']);
});

test('however many files of one name came before, the next one is moved at once, and nothing is overwritten', async () => {
  for (let number = 1; number <= 1_000; number++)
    await writeFile(join(root, 'done', number === 1 ? 'shop_a.csv' : `shop_a_${number}.csv`), 'old');
  for (const content of ['new', 'newer']) {
    await put('shop_a.csv', content);
    await run(message({ version: 1, traceparent, kind: 'deposited', name: 'shop_a.csv' }));
  }
  expect(await names('in')).toEqual([]);
  const taken = [0, 1].map((index) => takenName('shop_a.csv', index));
  expect(receiver.outcomes.map(({ movedTo }) => movedTo)).toEqual(taken.map((name) => `done/${name}`));
  expect(await Promise.all(taken.map((name) => readFile(join(root, 'done', name), 'utf8')))).toEqual([
    'new',
    'newer',
  ]);
  expect(await names('done')).toHaveLength(1_002);
});

test('files that waited are opened in the order of their times, one source beside another', async () => {
  const days: [name: string, day: number][] = [
    ['shop_e.csv', 3],
    ['shop_a.csv', 5],
    ['shop_b.csv', 1],
    ['shop_c.csv', 4],
    ['shop_d.csv', 2],
    ['other_z.csv', 2],
  ];
  for (const [name, day] of days) {
    await put(name, `sku\n${day}\n`);
    const time = new Date(Date.UTC(2026, 10, day));
    await utimes(join(root, 'in', name), time, time);
  }
  await run(tick);
  const opened = receiver.opened.map(({ name }) => name).filter((name) => name.startsWith('shop_'));
  expect(opened).toEqual(['shop_b.csv', 'shop_d.csv', 'shop_e.csv', 'shop_c.csv', 'shop_a.csv']);
  expect(receiver.received).toHaveLength(6);
});

test('a file that is replaced between the last look and its renaming is read as what it is now, once', async () => {
  await put('shop_a.csv', 'sku,price\n1,10\n');
  const move = ftp.move.bind(ftp);
  let replaced = false;
  ftp.move = async (way) => {
    if (!replaced) {
      replaced = true;
      await put('.shop_a.csv.part', 'sku,price\n1,20\n2,22\n');
      await rename(join(root, 'in', '.shop_a.csv.part'), join(root, 'in', 'shop_a.csv'));
    }
    return await move(way);
  };
  await run(tick);
  await run(tick);
  expect(receiver.received.map(({ bytes }) => bytes.toString())).toEqual(['sku,price\n1,20\n2,22\n']);
  expect([await names('in'), await names('done')]).toEqual([[], ['shop_a.ID.csv']]);
});

test('a name that is written again while its file is read is another file, and both are read', async () => {
  await put('shop_a.csv', 'one');
  const download = ftp.download.bind(ftp);
  let written = false;
  ftp.download = async (path, to) => {
    if (!written) {
      written = true;
      await put('shop_a.csv', 'another');
    }
    await download(path, to);
  };
  await run(tick);
  expect([await names('in'), await names('done')]).toEqual([['shop_a.csv'], ['shop_a.ID.csv']]);
  await run(tick);
  expect(receiver.received.map(({ bytes }) => bytes.toString())).toEqual(['one', 'another']);
  expect(await names('done')).toEqual(['shop_a.ID.csv', 'shop_a.ID.csv']);
});

test('a rejection is known to the leader before the file is moved, and a retry says first where the file lies', async () => {
  receiver.orders.rejectContaining = 'POISON';
  receiver.orders.noteNoMove = true; // As if the worker died between the move and its note.
  await put('shop_x.csv', 'POISON');
  await run(message({ version: 1, traceparent, kind: 'deposited', name: 'shop_x.csv' }));
  expect(await names('rejected')).toEqual(['shop_x.ID.csv', 'shop_x.ID.csv.reason.txt']);
  expect(receiver.outcomes).toEqual([
    { name: 'shop_x.csv', movedTo: null, reason: expect.stringContaining('row 2') as unknown },
  ]);
  receiver.orders.noteNoMove = false;
  receiver.orders.rejectContaining = undefined;
  const taken = takenName('shop_x.csv');
  await run(message({ version: 1, traceparent, kind: 'retry', name: taken }));
  expect(receiver.outcomes.slice(1)).toEqual([
    { name: 'shop_x.csv', movedTo: `rejected/${taken}`, reason: null },
    { name: 'shop_x.csv', movedTo: `done/${taken}`, reason: null },
  ]);
});

test('the second rejected file of a name is tried again under that name, also where a newer one waits in in/', async () => {
  receiver.orders.rejectContaining = 'POISON';
  for (const content of ['POISON 1', 'POISON 22']) {
    await put('shop_x.csv', content);
    await run(message({ version: 1, traceparent, kind: 'deposited', name: 'shop_x.csv' }));
  }
  await put('shop_x.csv', 'good');
  receiver.orders.rejectContaining = undefined;
  const [, second] = receiver.opened;
  await run(message({ version: 1, traceparent, kind: 'retry', name: takenName('shop_x.csv', 1) }));
  expect(receiver.opened.slice(2)).toEqual([second]);
  expect(await names('in')).toEqual(['shop_x.csv']);
  expect(await names('rejected')).toEqual(['shop_x.ID.csv', 'shop_x.ID.csv.reason.txt']);
  expect(published).toEqual([]);
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
  [
    'a retry of a name without an id',
    { version: 1, traceparent, kind: 'retry', name: 'shop_x.csv' },
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
  expect(published).toMatchObject([
    { exchange: 'baton.retry', routingKey: 'files.retry', headers: { 'x-baton-attempt': 3 } },
  ]);
});

test('while a sync holds its lease, however long, the export is written', async () => {
  receiver.orders.leaseHeld = true;
  await run(message({ version: 1, traceparent, kind: 'export' }));
  expect([await names('out'), published]).toEqual([['items.csv', 'items.ndjson'], []]);
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
  expect(await names('done')).toEqual(['shop_a.ID.csv']);
});
