// What is said when the feed cannot be read: readers wait for it, and the log is no place for ten lines a second.
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Live } from '../../../nodes/web/live.ts';

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
