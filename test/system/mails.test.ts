// Mails of a whole running system, read from its inbox: a rejected file and a change of leader are told to whoever watches
// them, prices as people write them, each once; and an erased address is neither stored nor logged.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const owner = 'owner-4711@example.test';
const operator = 'operator-4711@example.test';
let system: RunningSystem;

beforeAll(async () => {
  system = await startRunningSystem(['--no-demo', '--broker', 'development']);
  await system.change('PUT', '/sources/acme', { kind: 'partner', name: 'acme' });
  await system.change('POST', '/watches', { email: owner, source: 'acme' });
  await system.change('POST', '/watches', { email: owner, about: 'files', source: 'acme' });
  await system.change('POST', '/watches', { email: operator, about: 'leader' });
});
afterAll(async () => {
  await system?.close();
});

async function subjectsFor(address: string): Promise<string[]> {
  const { body } = await request(`${system.ready.inbox}/api/mails`);
  const { mails } = (await body.json()) as { mails: { subject: string; to: string[] }[] };
  return mails.filter(({ to }) => to.includes(address)).map(({ subject }) => subject);
}
const arrives = (address: string, subject: RegExp) =>
  eventually(
    `a mail to ${address} about ${subject}`,
    () => subjectsFor(address),
    (subjects) => subjects.some((one) => subject.test(one)),
    120_000,
  );

test('a price drop and a rejected file reach their owner, once each', async () => {
  await system.drop('acme_1.csv', 'sku,title,price,currency,inStock\na,Teapot,10,EUR,true\n');
  await system.syncNow();
  await eventually(
    'the first price',
    () => system.get<{ items: unknown[] }>('/items?source=acme'),
    ({ items }) => items.length === 1,
    90_000,
  );
  await system.drop('acme_2.csv', 'sku,title,price,currency,inStock\na,Teapot,7.5,EUR,true\n');
  await system.drop('acme_broken.csv', 'sku,title\none-column\n');
  await system.syncNow();
  await arrives(owner, /^Teapot now €7\.50$/);
  await arrives(owner, /^File rejected: acme_broken\.csv$/);
  expect(await subjectsFor(owner)).toHaveLength(2);
});

test('one click in the mail program ends the watch, at whichever node', async () => {
  const { body } = await request(`${system.ready.inbox}/api/mails`);
  const { mails } = (await body.json()) as { mails: { id: number; subject: string }[] };
  const price = mails.find(({ subject }) => subject.startsWith('Teapot'));
  const raw = await (await request(`${system.ready.inbox}/mails/${price?.id}/raw`)).body.text();
  const address = /^List-Unsubscribe: <(?<url>[^>]+)>/im.exec(raw.replaceAll(/\r\n[ \t]+/g, ' '))?.groups?.[
    'url'
  ];
  const { pathname } = new URL(address ?? '');
  const { leader } = await system.status();
  const follower = system.ready.nodes.find(({ id }) => id !== leader);
  const { statusCode } = await request(`${follower?.url}${pathname}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'List-Unsubscribe=One-Click',
  });
  expect(statusCode).toBe(204);
  const { editor } = await system.secret<{ editor: string }>('tokens.json');
  const left = await request(`${follower?.url}/watches`, { headers: { authorization: `Bearer ${editor}` } });
  const { watches } = (await left.body.json()) as { watches: { email: string; about: string }[] };
  expect(watches.filter(({ email }) => email === owner).map(({ about }) => about)).toEqual(['files']);
});

test('another leader is told to whoever watches it, in one mail however often it changes', async () => {
  expect((await system.baton('kill', 'leader')).code).toBe(0);
  expect(await arrives(operator, /^node-\d leads/)).toHaveLength(1);
});

test('an erased address is watched no more, and stands in no log', async () => {
  expect((await system.baton('erase', owner.toUpperCase())).stdout).toContain('1 watches, 2 mails');
  expect((await system.baton('erase', owner)).stdout).toContain('0 watches, 0 mails');
  const folder = join(system.folder, '.baton', 'logs');
  const logs = await readdir(folder);
  expect(logs.length).toBeGreaterThan(5);
  for (const name of logs) {
    const log = (await readFile(join(folder, name), 'utf8')).toLowerCase();
    expect([name, log.includes(owner), log.includes(operator)]).toEqual([name, false, false]);
  }
});

test('who watches what is told to editors alone, and erasing is for operators', async () => {
  const url = await system.leaderUrl();
  const { editor } = await system.secret<{ editor: string }>('tokens.json');
  const ask = async (method: 'GET' | 'POST', path: string, token?: string) => {
    const { statusCode, body } = await request(url + path, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: method === 'POST' ? JSON.stringify({ email: operator }) : null,
    });
    await body.dump();
    return statusCode;
  };
  expect([
    await ask('GET', '/watches'),
    await ask('GET', '/watches', editor),
    await ask('POST', '/erasures'),
    await ask('POST', '/erasures', editor),
  ]).toEqual([401, 200, 401, 403]);
});
