// All bytes between the processes are written down while a shop is scraped, a partner's file is stored and a mail goes out:
// neither what they are about nor a password stands in them, in plain or in base64. Links to emulated AWS APIs (SQS,
// DynamoDB, Lambda) are exempt: on a laptop they are plain HTTP over loopback. The data connections of FTP go to ports of the
// server's choice, past the recorder; that they are refused without TLS is asked here.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodes } from '../../contracts/topology.ts';
import { seedDemo } from '../../emulator/instance/demo.ts';
import { layoutOf, type Layout } from '../../emulator/instance/instance.ts';
import { callLeader } from '../../emulator/cluster/call-leader.ts';
import { createInvokeClient } from '../../emulator/event-sources/invoke-client.ts';
import { startSystem, type System } from '../../emulator/system.ts';
import { dropFile, ftpLogin, withFtp } from '../support/ftp-partner.ts';
import { describeRecorded } from '../support/recorded-stack.ts';
import { Recorder, secretsIn } from '../support/recorder.ts';
import { eventually, tickEvent } from '../support/running-system.ts';

const canary = 'canary-in-the-title-4711';
const address = 'canary-address-4711@example.test';
const recorder = new Recorder();
let root: string;
let layout: Layout;
let system: System;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'baton-recorded-'));
  layout = layoutOf(join(root, '.baton'));
  system = await startSystem(
    {
      layout,
      nodes: 3,
      isolated: true,
      demo: true,
      broker: 'development',
      itemPartitions: 1,
      timeouts: nodes,
      links: false, // The recorder stands in their place.
      privateShops: [],
      contact: undefined,
      awsEndpoint: undefined,
      lambdaEndpoint: undefined,
      collector: {},
    },
    () => undefined,
    { describe: (settings) => describeRecorded(settings, recorder) },
  );
  await seedDemo(system);
});
afterAll(async () => {
  await system?.stop();
  recorder.close();
  if (root !== undefined) await rm(root, { recursive: true, force: true });
});

const ftp = () => ftpLogin({ url: system.stack.addresses.ftp, data: layout.root });
const drop = async (name: string, price: number) =>
  dropFile(await ftp(), name, `sku,title,price,currency,inStock\ncanary,${canary},${price},EUR,true\n`);
/** What the next tick would do, which is up to 30 s away. */
async function syncNow(): Promise<void> {
  const client = createInvokeClient(system.stack.addresses.lambda);
  try {
    const tick = await readFile(tickEvent, 'utf8');
    expect(await client.invoke('ftp-sync', tick, { timeoutMs: 60_000 })).toMatchObject({ kind: 'answered' });
  } finally {
    await client.close();
  }
}
const counts = async () => (await system.status()).counts;
const sources = async (source: string) =>
  (await callLeader(system, {
    method: 'GET',
    path: `/items?source=${source}&limit=100`,
    role: 'editor',
  })) as {
    items: { title: string; price: number }[];
  };

test('what crosses the links is what the system is about', async () => {
  await callLeader(system, { method: 'POST', path: '/watches', role: 'editor', json: { email: address } });
  await drop('demo-partner_1.csv', 10);
  await syncNow();
  await eventually(
    'the first price',
    () => sources('demo-partner'),
    ({ items }) => items.length === 1,
    90_000,
  );
  await drop('demo-partner_2.csv', 8);
  await syncNow();
  const inbox = async () =>
    JSON.stringify(await (await request(`${system.stack.addresses.inbox}/api/mails`)).body.json());
  await eventually('the mail', inbox, (mails) => mails.includes(address), 120_000);
  await eventually(
    'items of the shop',
    () => sources('demo-shop'),
    ({ items }) => items.length > 20,
    60_000,
  );
  expect((await counts()).mailsSent).toBeGreaterThan(0);
}, 300_000);

test('neither a canary nor a secret stands in any recorded byte, in plain or in base64', async () => {
  const files = await readdir(layout.secrets);
  const passwords = (
    await Promise.all(files.map((name) => readFile(join(layout.secrets, name), 'utf8')))
  ).flatMap((text) => [...text.matchAll(/[\w+/-]{20,}={0,2}/g)].map(([secret]) => secret));
  expect(passwords.length).toBeGreaterThan(6);
  const { items } = await sources('demo-shop');
  const secrets = [canary, address, ...items.map(({ title }) => title), ...passwords];
  const links = recorder.links;
  expect([...links.keys()].sort()).toEqual([
    'AMQP',
    'FTP',
    'PostgreSQL',
    'SMTP',
    'internal HTTPS',
    'votes',
    'votes (connections)',
  ]);
  for (const [link, streams] of links) {
    const bytes = Buffer.concat(streams);
    expect(bytes.length, `${link} was recorded`).toBeGreaterThan(
      link === 'votes (connections)' ? 100 : 2_000,
    );
    expect(secretsIn(bytes, secrets), link).toEqual([]);
  }
}, 120_000);

test('FTP: a data connection without TLS is refused', async () => {
  expect((await withFtp(await ftp(), (one) => one.sendIgnoringError('PROT C'))).code).toBe(536);
});

test('the recorder and the search would find them: a password sent in plain or in base64', async () => {
  const echo = new Recorder();
  const plain = Buffer.from('AUTH LOGIN secret-of-the-test');
  const encoded = Buffer.from(
    `AUTH PLAIN ${Buffer.from('\0user\0secret-of-the-test').toString('base64')}\r\n`,
  );
  const found = [plain, encoded].map((bytes) => secretsIn(bytes, ['secret-of-the-test']));
  expect(found).toEqual([['secret-of-the-test'], ['secret-of-the-test']]);
  try {
    const port = await echo.tcp('plain', Number(new URL(system.stack.addresses.inbox).port));
    await (await request(`http://127.0.0.1:${port}/secret-of-the-test`)).body.dump();
    const recorded = Buffer.concat([...(echo.links.get('plain') ?? [])]);
    expect(secretsIn(recorded, ['secret-of-the-test'])).toEqual(['secret-of-the-test']);
  } finally {
    echo.close();
  }
});
