// Where the front leads to, and that it leads nowhere else.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createRedirect, targetUrl } from '../../../functions/intermediary/redirect.ts';
import type { DirectoryEntry } from '../../../functions/leader-directory.ts';
import { createLogger } from '../../../runtime/logger.ts';

const entry: DirectoryEntry = {
  version: 1,
  cluster: 'test',
  clusterId: '3f6f1d38-5b1a-4b4e-8a7b-2f0e5d9c4a10',
  term: 3,
  sequence: 1,
  nodeId: 'node-1',
  internalUrl: 'https://127.0.0.1:1',
  publicUrl: 'https://node-1.example.org:8443',
  state: 'leading',
  validUntilMs: 6_000,
};

describe('target', () => {
  it.each([
    ['/', '', 'https://node-1.example.org:8443/'],
    ['', '', 'https://node-1.example.org:8443/'],
    ['/items', 'source=a&q=%20b', 'https://node-1.example.org:8443/items?source=a&q=%20b'],
    ['/items/a%2Fb', '', 'https://node-1.example.org:8443/items/a%2Fb'],
    ['/items/ü', '', 'https://node-1.example.org:8443/items/%C3%BC'],
    ['//evil.example', '', 'https://node-1.example.org:8443//evil.example'],
    ['/\\evil.example', '', 'https://node-1.example.org:8443//evil.example'],
    ['@evil.example/', '', 'https://node-1.example.org:8443/@evil.example/'],
    ['.evil.example', '', 'https://node-1.example.org:8443/.evil.example'],
    ['https://evil.example/', '', 'https://node-1.example.org:8443/https://evil.example/'],
    ['/a?b#c', 'd#e', 'https://node-1.example.org:8443/a%3Fb%23c?d%23e'],
    ['/a', '?', 'https://node-1.example.org:8443/a??'],
  ])('target: %j with %j stays at the leader', (rawPath, rawQueryString, expected) => {
    expect(targetUrl(entry.publicUrl, { rawPath, rawQueryString })).toBe(expected);
  });

  it('target: a line break ends no header', () => {
    const target = targetUrl(entry.publicUrl, {
      rawPath: '/a\r\nSet-Cookie: x=1',
      rawQueryString: 'b\r\nX: 1',
    });
    expect(target).toMatch(/^https:\/\/node-1\.example\.org:8443\/[\x21-\x7e]*$/);
  });

  it('target: a path of the announced address is not kept, and no other scheme is led to', () => {
    expect(targetUrl('https://a.example/x?y', { rawPath: '/z', rawQueryString: '' })).toBe(
      'https://a.example/z',
    );
    expect(targetUrl('javascript:alert(1)', { rawPath: '/z', rawQueryString: '' })).toBeUndefined();
  });
});

describe('redirect', () => {
  function front(read: () => DirectoryEntry | undefined) {
    const clock = { ms: 0, reads: 0 };
    const redirect = createRedirect({
      directory: {
        read: () => {
          clock.reads += 1;
          return Promise.resolve().then(read);
        },
      },
      cluster: 'test',
      logger: createLogger({ process: 'redirect', write: () => undefined }),
      now: () => clock.ms,
    });
    return { clock, redirect, ask: (rawPath = '/items') => redirect({ rawPath, rawQueryString: '' }) };
  }

  it("redirect: a load balancer's event leads where a function URL's does", async () => {
    const { redirect } = front(() => entry);
    const event = JSON.parse(
      readFileSync(new URL('../../support/events/load-balancer.json', import.meta.url), 'utf8'),
    ) as object;
    const asked = async (part: object) => (await redirect({ ...event, ...part })).headers['location'];
    expect(await asked({})).toBe('https://node-1.example.org:8443/items?source=a&q=%20b');
    expect(await asked({ path: '/', queryStringParameters: {} })).toBe('https://node-1.example.org:8443/');
    expect(await asked({ path: '@evil.example/', queryStringParameters: {} })).toBe(
      'https://node-1.example.org:8443/@evil.example/',
    );
  });

  it('redirect: half a second is the longest that an old leader is believed, and the least between two reads', async () => {
    let current = entry;
    const { ask, clock } = front(() => current);
    expect((await ask()).headers['location']).toBe('https://node-1.example.org:8443/items');
    current = { ...entry, publicUrl: 'https://node-2.example.org' };
    clock.ms = 499;
    expect((await ask()).headers['location']).toBe('https://node-1.example.org:8443/items');
    expect(clock.reads).toBe(1);
    clock.ms = 500;
    expect((await ask()).headers['location']).toBe('https://node-2.example.org/items');
  });

  it('redirect: an entry ends with its validity, also inside the cache', async () => {
    const { ask, clock } = front(() => entry);
    clock.ms = 5_600;
    expect((await ask()).statusCode).toBe(307);
    clock.ms = 6_000;
    expect((await ask()).statusCode).toBe(503);
    expect(clock.reads).toBe(1);
  });

  it('redirect: a directory that cannot be read is 503, and is asked again by the next request', async () => {
    let away = true;
    const { ask, clock } = front(() => {
      if (away) throw new Error('connect ECONNREFUSED');
      return entry;
    });
    const answer = await ask();
    expect(answer.statusCode).toBe(503);
    expect(answer.body).not.toContain('ECONNREFUSED');
    away = false;
    expect((await ask()).statusCode).toBe(307);
    expect(clock.reads).toBe(2);
  });
});
