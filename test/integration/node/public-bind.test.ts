// Where a node's public listener may be bound, and as what it may be asked there: it speaks plain HTTP.
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNode, type NodeSettings } from '../../../nodes/node.ts';
import { readEnvironment } from '../../../runtime/config.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { loneNode, memberAt, simulatedBroker, simulatedRaft, simulatedStore } from './simulated-edges.ts';

let folder: string;
let tls: TestCertificates;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-bind-'));
  tls = await makeCertificates(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

// 127.0.0.2 is loopback for the kernel and a foreign address for the rule, so that nothing here listens to the world.
const beyond = '127.0.0.2';
const start = (settings: Pick<NodeSettings, 'publicBehindProxy' | 'publicHosts'>) =>
  createNode(loneNode({ members: [memberAt('http://shown.example:7101')], bind: beyond, ...settings }), {
    raft: simulatedRaft().raft,
    store: simulatedStore().store,
    tls,
    page: undefined,
    broker: simulatedBroker,
    sendAnnouncement: async () => undefined,
    tokens: async () => ({ reader: 'r'.repeat(16), editor: 'e'.repeat(16), operator: 'o'.repeat(16) }),
    logger: createLogger({ process: 'node-1', write: () => undefined }),
  });
const statusAs = (url: string, host: string, path = '/liveness', asker?: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    const headers = { host, ...(asker === undefined ? {} : { 'x-forwarded-for': asker }) };
    request(`${url}${path}`, { headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on('error', reject)
      .end();
  });

test('public: beyond loopback a node refuses to start, and says which variable would allow it', async () => {
  await expect(start({})).rejects.toThrow(/BATON_PUBLIC_BEHIND_PROXY/);
  await expect(start({ publicHosts: ['node-1:7101'] })).rejects.toThrow(/BATON_BIND is 127\.0\.0\.2/);
});

test('public: behind a proxy it is asked as its publicUrl, as a name it was given, and as nothing else', async () => {
  const node = await start({ publicBehindProxy: true, publicHosts: ['node-1:7101'] });
  try {
    expect(await statusAs(node.publicUrl, 'shown.example:7101')).toBe(200);
    expect(await statusAs(node.publicUrl, 'node-1:7101')).toBe(200);
    expect(await statusAs(node.publicUrl, 'node-1:7102')).toBe(403);
    expect(await statusAs(node.publicUrl, 'evil.example:7101')).toBe(403);
    // A load balancer asks by address.
    expect(await statusAs(node.publicUrl, '10.0.0.7:7101', '/health')).toBe(200);
  } finally {
    await node.close('the test ends');
  }
});

test('public: behind a proxy one busy reader is sent away, and neither another one nor whoever looks after the node', async () => {
  const node = await start({ publicBehindProxy: true });
  const status = (asker: string, path = '/history') =>
    statusAs(node.publicUrl, 'shown.example:7101', path, asker);
  try {
    const busy = '198.51.100.7';
    // Side by side: one after the other they may not all fit into the minute for which they are counted.
    for (let hundred = 0; hundred < 12; hundred++) {
      const seen = await Promise.all(Array.from({ length: 100 }, () => status(busy)));
      expect(seen.filter((code) => code !== 200)).toEqual([]);
    }
    expect(await status(busy)).toBe(429);
    // What a reader says itself of whom it asks for stands before what the proxy says.
    expect(await status(`203.0.113.9, ${busy}`)).toBe(429);
    expect(await status('198.51.100.8')).toBe(200);
    for (const path of ['/health', '/liveness', '/leader', '/replica'])
      expect([200, 503]).toContain(await status(busy, path));
  } finally {
    await node.close('the test ends');
  }
});

test('public: the variable is off unless it is set, and a host with a scheme is refused by name', () => {
  const problems = (() => {
    try {
      readEnvironment('node', { BATON_PUBLIC_HOSTS: 'https://node-1', BATON_PUBLIC_BEHIND_PROXY: 'perhaps' });
    } catch (error) {
      return String(error);
    }
    return '';
  })();
  expect(problems).toMatch(/BATON_PUBLIC_HOSTS is wrong/);
  expect(problems).toMatch(/BATON_PUBLIC_BEHIND_PROXY is wrong/);
});
