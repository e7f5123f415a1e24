// What is said when the feed cannot be read: readers wait for it, and the log is no place for ten lines a second. And who has a
// place: what one reader too many is told, and that nobody keeps one who has left.
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Live } from '../../../nodes/web/live.ts';
import { useProblems } from '../../../nodes/web/problem-details.ts';
import { createLogger } from '../../../runtime/logger.ts';

const app = () => fastify({ forceCloseConnections: true });
let server: ReturnType<typeof app>;
let reports: unknown[];
let looks: { count: number };
let trouble: string | undefined;
beforeEach(async () => {
  [server, reports, looks, trouble] = [app(), [], { count: 0 }, undefined];
  const feedBounds = async () => {
    looks.count += 1;
    if (trouble !== undefined) throw new Error(trouble);
    return { feed: 'feed', first: 0, last: 0 };
  };
  new Live({ feedBounds, feed: async () => [] }, (error) => void reports.push(error)).addTo(server);
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  const reader = get(`${url}/live`).on('error', () => undefined);
  const [stream] = (await once(reader, 'response')) as [IncomingMessage];
  stream.on('error', () => undefined).resume();
});
afterEach(() => server.close());

async function look(cause: string | undefined): Promise<string[]> {
  trouble = cause;
  const enough = looks.count + 4;
  while (looks.count < enough) await sleep(10);
  return reports.splice(0).map((error) => (error as Error).message);
}

test('a database that is away is reported once, another cause again, and the same one after it was back', async () => {
  expect(await look(undefined)).toEqual([]);
  expect(await look('no connection')).toEqual(['no connection']);
  expect(await look('no connection')).toEqual([]);
  expect(await look('no answer')).toEqual(['no answer']);
  expect(await look(undefined)).toEqual([]);
  expect(await look('no answer')).toEqual(['no answer']);
});

test('a reader too many is told BUSY and when to come again, as whoever asks for too much elsewhere', async () => {
  const own = app();
  useProblems(own, createLogger({ process: 'node-1', write: () => undefined }));
  const bounds = { feed: 'feed', first: 0, last: 0 };
  new Live({ feedBounds: async () => bounds, feed: async () => [] }, () => undefined).addTo(own);
  const url = await own.listen({ host: '127.0.0.1', port: 0 });
  const stop = new AbortController();
  const read = () => fetch(`${url}/live`, { signal: stop.signal });
  try {
    for (const { status } of await Promise.all(Array.from({ length: 200 }, read))) expect(status).toBe(200);
    const refused = await read();
    expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toMatchObject([
      429,
      '5',
      { code: 'BUSY', retryAfterMs: 5_000 },
    ]);
  } finally {
    stop.abort();
    await own.close();
  }
});

test('readers that gave up while the database was slow keep no place: as many others find one afterwards', async () => {
  const own = app();
  useProblems(own, createLogger({ process: 'node-1', write: () => undefined }));
  const bounds = { feed: 'feed', first: 0, last: 0 };
  let asked = 0;
  let answer = (): void => undefined;
  let isSlow: Promise<void> | undefined = new Promise((resolve) => (answer = resolve));
  const feedBounds = async () => {
    asked += 1;
    await isSlow;
    return bounds;
  };
  new Live({ feedBounds, feed: async () => [] }, () => undefined).addTo(own);
  const left: boolean[] = [];
  own.addHook('onRequest', async (_request, reply) => {
    const which = left.push(false) - 1;
    reply.raw.on('close', () => (left[which] = true));
  });
  const url = await own.listen({ host: '127.0.0.1', port: 0 });
  const stop = new AbortController();
  try {
    const impatient = Array.from({ length: 200 }, () => get(`${url}/live`).on('error', () => undefined));
    await expect.poll(() => asked, { timeout: 10_000 }).toBe(200);
    for (const reader of impatient) reader.destroy();
    await expect.poll(() => left.filter(Boolean).length, { timeout: 10_000 }).toBe(200);
    isSlow = undefined;
    answer();
    const others = Array.from({ length: 200 }, () => fetch(`${url}/live`, { signal: stop.signal }));
    for (const { status } of await Promise.all(others)) expect(status).toBe(200);
  } finally {
    stop.abort();
    await own.close();
  }
});
