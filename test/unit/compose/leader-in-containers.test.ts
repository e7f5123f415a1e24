// `baton dlq`, `trace`, `erase`, `open`, `nodes` and `transfer` with `--target compose`, without Docker: a `docker` of ours tells of containers whose
// published ports are listeners of this test. What is ours, from the command line to the request, is real.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClusterView } from '../../../contracts/public-api.ts';

const cli = fileURLToPath(new URL('../../../emulator/cli.ts', import.meta.url));
const operator = 'operator-token-in-the-container';
let folder: string;
let servers: Server[];
/** As the leader got them. */
let asked: { route: string; authorization: string | undefined; body: string }[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-docker-'));
  servers = [];
  asked = [];
});
afterEach(async () => {
  for (const server of servers) server.close();
  await rm(folder, { recursive: true, force: true });
});

/** A node's public listener. Any route that it was not told of is 404, as on a node. */
async function listen(state: string, answers: Readonly<Record<string, object>> = {}): Promise<number> {
  const server = createServer((request, response) => {
    const route = `${request.method} ${request.url}`;
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => {
      const health = { nodeId: 'node-1', state, term: 7, leader: 'node-2', problems: [] };
      const answer = route === 'GET /health' ? health : answers[route];
      if (route !== 'GET /health' && route !== 'GET /counts')
        asked.push({ route, authorization: request.headers.authorization, body });
      response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
      const problem = { type: 'about:blank', title: 'Not found', status: 404, code: 'NOT_FOUND' };
      response.end(JSON.stringify(answer ?? problem));
    });
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** `docker ps`, `inspect` and `exec ... cat`, the latter for the containers that run. */
async function containers(
  nodes: readonly { service: string; port: number; status?: string }[],
): Promise<void> {
  const inspected = nodes.map(({ service, port, status = 'running' }) => ({
    Id: `id-of-${service}`,
    RestartCount: 0,
    State: { Status: status, Pid: 1, ExitCode: 0, StartedAt: '2026-01-01T00:00:00Z' },
    Config: { Labels: { 'com.docker.compose.service': service } },
    NetworkSettings: { Ports: { '7101/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] } },
  }));
  const script = `#!${process.execPath}
const inspected = ${JSON.stringify(inspected)};
const [command, ...words] = process.argv.slice(2);
if (command === 'ps') console.log(inspected.map(({ Id }) => Id).join('\\n'));
else if (command === 'inspect') console.log(JSON.stringify(inspected));
else if (command === 'exec' && words.slice(1).join(' ') === 'cat /run/baton/tokens.json'
  && inspected.find(({ Id }) => Id === words[0])?.State.Status === 'running')
  console.log(JSON.stringify({ operator: ${JSON.stringify(operator)} }));
else { console.error('cannot ' + process.argv.slice(2).join(' ')); process.exit(1); }
`;
  await writeFile(join(folder, 'docker'), script);
  await chmod(join(folder, 'docker'), 0o755);
}

function baton(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH']}` };
  return new Promise((resolve) =>
    execFile(process.execPath, [cli, ...words, '--target', 'compose'], { env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  );
}

const letter = {
  id: 17,
  queue: 'items',
  messageId: 'm-17',
  source: 'demo-shop',
  code: 'ITEM_MALFORMED',
  reason: 'no price',
  group: '3e95c8c7b1',
  state: 'waiting',
  retries: 0,
  times: 1,
  edited: false,
  diedAt: '2026-01-01T00:00:00.000Z',
  changedAt: '2026-01-01T00:00:00.000Z',
};

describe('commands for the leader in a container', () => {
  test('find it by its published port, take the token out of its own container and print what it answers', async () => {
    const leader = await listen('leading', {
      'GET /dead-letters?group=3e95c8c7b1': { letters: [letter], next: null },
    });
    // Nothing can be read in a frozen container, so the token must not be looked for in just any.
    await containers([
      { service: 'node-1', port: 1, status: 'paused' },
      { service: 'node-2', port: leader },
    ]);
    const { code, stdout, stderr } = await baton('dlq', 'list', '--group', '3e95c8c7b1');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('ITEM_MALFORMED');
    expect(asked).toMatchObject([{ authorization: `Bearer ${operator}` }]);
  });

  test('say so in words when the leader answers what they do not understand', async () => {
    const leader = await listen('leading', {
      'GET /dead-letters?group=3e95c8c7b1': { letters: [{ ...letter, retries: undefined }], next: null },
    });
    await containers([{ service: 'node-2', port: leader }]);
    expect(await baton('dlq', 'list', '--group', '3e95c8c7b1')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /answers what this release does not understand \(letters\.0\.retries: missing\): is it of another release\?/,
      ) as unknown,
    });
  });

  test('change what it keeps, under the name of who asks', async () => {
    const leader = await listen('leading', {
      'POST /dead-letters/retry': { action: '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0', letters: 1, groups: [] },
      'POST /erasures': { watches: 1, mails: 0, suppressions: 0 },
    });
    await containers([{ service: 'node-2', port: leader }]);
    expect(await baton('dlq', 'retry', '17', '--as', 'ann')).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(asked[0]?.body ?? '')).toMatchObject({ by: 'ann', select: { ids: [17] } });
    expect((await baton('erase', 'one@example.test')).stdout).toContain('Erased: 1 watches');
  });

  test('open: another link to the page of the very node that made its key', async () => {
    const leader = await listen('leading', {
      'POST /session-keys': { key: '0a1b', cookie: 'baton-session' },
    });
    await containers([{ service: 'node-2', port: leader }]);
    expect(await baton('open')).toEqual({
      code: 0,
      stdout: `http://127.0.0.1:${leader}/?key=0a1b\n`,
      stderr: 'It opens the page as operator, once, within ten minutes.\n',
    });
    expect(asked).toMatchObject([{ authorization: `Bearer ${operator}` }]);
  });

  test('trace: an item, and what nobody knows', async () => {
    const leader = await listen('leading', {
      'GET /items/demo-shop/BOO-001/trace?versions=3': {
        source: 'demo-shop',
        sku: 'BOO-001',
        title: 'A book',
        versions: [],
      },
    });
    await containers([{ service: 'node-2', port: leader }]);
    const found = await baton('trace', 'demo-shop/BOO-001', '--json');
    expect(JSON.parse(found.stdout)).toMatchObject({ sku: 'BOO-001' });
    const unknown = await baton('trace', 'demo-shop/BOO-002');
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain('nothing is known of an item or a message demo-shop/BOO-002');
  });

  test('nodes: as each sees itself; transfer: the leader hands over', async () => {
    const cluster = (nodeId: string, kind: 'leader' | 'follower'): ClusterView => ({
      nodeId,
      role: kind === 'leader' ? { kind } : { kind, leader: 'node-2' },
      term: 7,
      state:
        kind === 'leader' ? { kind: 'leading', term: 7 } : { kind: 'following', term: 7, leader: 'node-2' },
      abstaining: false,
      leader: null,
      generation: 3,
      fence: null,
      members: ['node-1', 'node-2'].map((id) => ({
        id,
        udp: '127.0.0.1:1',
        internalUrl: 'https://127.0.0.1:1',
        publicUrl: 'http://127.0.0.1:1',
        voter: true,
        lastContactMs: id === nodeId ? null : 41.6,
      })),
    });
    await containers([
      {
        service: 'node-1',
        port: await listen('following', { 'GET /cluster': cluster('node-1', 'follower') }),
      },
      {
        service: 'node-2',
        port: await listen('leading', {
          'GET /cluster': cluster('node-2', 'leader'),
          'POST /cluster/transfer': { kind: 'failed', reason: 'nobody is near enough' },
        }),
      },
    ]);
    const { code, stdout } = await baton('nodes', '--json');
    expect(code).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line): unknown => JSON.parse(line)),
    ).toMatchObject([
      { id: 'node-1', role: 'follower', generation: 3, heardMsAgo: 42, runsAs: { kind: 'process', pid: 1 } },
      { id: 'node-2', role: 'leader', state: 'leading', heardMsAgo: null },
    ]);
    expect(await baton('transfer', 'node-1')).toMatchObject({
      code: 1,
      stderr: 'nobody took over: nobody is near enough\n',
    });
    expect(JSON.parse(asked.at(-1)?.body ?? '')).toEqual({ target: 'node-1' });
  });

  test('say so when nobody leads, and when no container is there', async () => {
    await containers([{ service: 'node-1', port: await listen('following') }]);
    expect(await baton('dlq', 'list')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nobody leads') as string,
    });
    await containers([]);
    expect(await baton('dlq', 'list')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('No container of the project') as string,
    });
  });
});
