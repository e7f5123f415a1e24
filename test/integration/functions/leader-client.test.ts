// How a function finds the leader, over mutual TLS and against real nodes' answers: hints, waits, failures, renewals.
import { createServer, type Socket } from 'node:net';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Environment } from '../../../contracts/environment.ts';
import { LeaderClient } from '../../../functions/leader-client.ts';
import type { DirectoryEntry } from '../../../functions/leader-directory.ts';
import { Failure } from '../../../runtime/failure.ts';
import type { Secrets } from '../../../runtime/secrets.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { hintTo, problemAnswer, startLeaderNode, type LeaderNode } from '../../support/leader-node.ts';

let folder: string;
let certificates: TestCertificates;
let first: LeaderNode;
let second: LeaderNode;
let entry: DirectoryEntry | undefined;
let directoryReads: number;
let directoryAway: boolean;
let used: TestCertificates;
const opened: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-leader-'));
  certificates = await makeCertificates(folder);
  used = certificates;
  entry = undefined;
  directoryReads = 0;
  directoryAway = false;
  first = await startLeaderNode(certificates);
  second = await startLeaderNode(certificates);
  opened.push(first, second);
});
afterEach(async () => {
  for (const thing of opened.splice(0).toReversed()) await thing.close();
  await rm(folder, { recursive: true });
});

function clientOf(...urls: string[]): LeaderClient {
  const secrets: Secrets = {
    text: (uri) => Promise.resolve(uri.endsWith('ca') ? used.ca : uri.endsWith('key') ? used.key : used.cert),
    json: () => Promise.reject(new Error('the leader client reads no JSON')),
  };
  const environment: Environment<'deliver'> = {
    BATON_CLUSTER: 'test',
    BATON_NODE_URLS: urls,
    BATON_DIRECTORY_TABLE: 'unused',
    AWS_REGION: 'eu-central-1',
    BATON_TLS_CA_URI: 'file:/ca',
    BATON_TLS_CERT_URI: 'file:/cert',
    BATON_TLS_KEY_URI: 'file:/key',
    BATON_BROKER_URL: 'amqps://127.0.0.1:1/',
    BATON_BROKER_CREDENTIALS_URI: 'file:/credentials',
  };
  const client = new LeaderClient(environment, secrets, {
    read: () => {
      directoryReads += 1;
      return directoryAway ? Promise.reject(new Error('DynamoDB is away')) : Promise.resolve(entry);
    },
    close: () => undefined,
  });
  opened.push(client);
  return client;
}
const ask = { method: 'POST', path: '/internal/batches', json: { items: [] }, timeoutMs: 2_000 } as const;
const within = (ms: number) => ({ deadline: performance.now() + ms });
const applied = () => ({ status: 200, json: { applied: true } });
const follower = (leaderUrl: string | null) => () =>
  problemAnswer('NOT_LEADER', { leader: leaderUrl === null ? null : hintTo(leaderUrl) });
function announced(url: string, validForMs = 6_000): DirectoryEntry {
  return {
    version: 1,
    cluster: 'test',
    clusterId: '3f6f1d38-5b1a-4b4e-8a7b-2f0e5d9c4a10',
    term: 1,
    sequence: 1,
    nodeId: 'node-2',
    internalUrl: url,
    publicUrl: url,
    state: 'leading',
    validUntilMs: Date.now() + validForMs,
  };
}

describe('leader', () => {
  it('leader: a follower’s hint is followed, and the leader found is asked first from then on', async () => {
    first.answer = follower(second.url);
    second.answer = applied;
    const client = clientOf(first.url, second.url);
    const answer = await client.call({ ...ask, traceparent: 'trace', idempotencyKey: 'key' }, within(3_000));
    expect(answer).toMatchObject({ status: 200, json: { applied: true } });
    expect(second.requests[0]?.headers).toMatchObject({
      traceparent: 'trace',
      'idempotency-key': 'key',
      'baton-api-version': '1',
    });
    await client.call(ask, within(3_000));
    expect([first.requests.length, second.requests.length, directoryReads]).toEqual([1, 2, 1]);
  });

  it('leader: the directory’s entry is asked before any node, also when it is in no list', async () => {
    second.answer = applied;
    entry = announced(second.url);
    await clientOf(first.url).call(ask, within(3_000));
    expect([first.requests.length, second.requests.length]).toEqual([0, 1]);
  });

  it.each([
    ['ran out', () => announced(second.url, -1)],
    ['resigned', () => ({ ...announced(second.url), state: 'resigned' as const })],
    ['has no HTTPS', () => announced(second.url.replace('https', 'http'))],
  ])('leader: an entry that %s is not asked', async (_, make) => {
    first.answer = applied;
    entry = make();
    await clientOf(first.url).call(ask, within(3_000));
    expect([first.requests.length, second.requests.length]).toEqual([1, 0]);
  });

  it('leader: without the directory the nodes are asked', async () => {
    directoryAway = true;
    first.answer = follower(null);
    second.answer = applied;
    expect((await clientOf(first.url, second.url).call(ask, within(3_000))).status).toBe(200);
  });

  it('leader: a hint to a host that is no member is not followed', async () => {
    const stranger = await startListener();
    first.answer = follower(stranger.url);
    const failure = await caught(clientOf(first.url).call(ask, within(2_000)));
    expect(failure.code).toBe('NOT_LEADER');
    expect(failure.message).toContain(`names ${stranger.url} as leader, which is no member`);
    expect(stranger.connections()).toBe(0);
  });

  it('leader: two nodes that name each other are asked a few times a round, not for ever', async () => {
    first.answer = follower(second.url);
    second.answer = follower(first.url);
    expect((await caught(clientOf(first.url, second.url).call(ask, within(3_000)))).code).toBe('NOT_LEADER');
    const asked = first.requests.length + second.requests.length;
    expect(asked).toBeGreaterThan(4);
    expect(asked).toBeLessThan(60);
  });

  it('leader: a call waits for an election and is answered soon after it', async () => {
    // As long as they ask for nobody waits: an election is over sooner.
    first.answer = () => problemAnswer('NO_LEADER', { retryAfterMs: 20_000 });
    second.answer = () => problemAnswer('NO_LEADER', { retryAfterMs: 20_000 });
    const call = clientOf(first.url, second.url).call(ask, within(25_000));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const waited = first.requests.length;
    await expect.poll(() => first.requests.length).toBeGreaterThan(1);
    first.answer = applied;
    const electedAt = performance.now();
    expect((await call).status).toBe(200);
    expect(performance.now() - electedAt).toBeLessThan(10_000);
    expect(waited).toBeLessThan(12);
  });

  it('leader: when another try would pass the deadline the last failure is thrown, and nobody is asked after it', async () => {
    first.answer = () => problemAnswer('NO_LEADER', { detail: 'no quorum' });
    const client = clientOf(first.url);
    const startedAt = performance.now();
    const failure = await caught(client.call(ask, within(2_000)));
    const tookMs = performance.now() - startedAt;
    expect(failure).toMatchObject({
      code: 'NO_LEADER',
      message: expect.stringContaining('no quorum') as unknown,
    });
    expect(tookMs).toBeGreaterThan(100);
    expect(tookMs).toBeLessThan(20_000); // It tries as long as there is time.
    const asked = first.requests.length;
    expect((await caught(client.call(ask, within(-1)))).message).toContain('no time left');
    expect(first.requests.length).toBe(asked);
  });

  it('leader: a node that refuses connections, one that cuts them and one that hangs are passed over', async () => {
    const cutting = await startListener((socket) => socket.destroy());
    const hanging = await startListener();
    second.answer = applied;
    const gone = await startLeaderNode(certificates);
    await gone.close();
    const client = clientOf(gone.url, cutting.url, hanging.url, second.url);
    expect((await client.call({ ...ask, timeoutMs: 500 }, within(8_000))).status).toBe(200);
    expect(second.requests).toHaveLength(1);
  });

  it('leader: one that is busy is given the time it asks for, and nobody else is asked', async () => {
    const at: number[] = [];
    second.answer = () => {
      at.push(performance.now());
      return at.length === 1 ? problemAnswer('BUSY', { retryAfterMs: 400 }) : applied();
    };
    entry = announced(second.url);
    expect((await clientOf(first.url, second.url).call(ask, within(5_000))).status).toBe(200);
    expect(first.requests).toHaveLength(0);
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(395);
  });

  it.each(['LEASE_HELD', 'LEASE_LOST', 'REQUEST_MALFORMED', 'FILE_MALFORMED', 'NOT_FOUND'] as const)(
    'leader: %s is an answer, thrown at once',
    async (code) => {
      first.answer = () => problemAnswer(code);
      expect((await caught(clientOf(first.url).call(ask, within(5_000)))).code).toBe(code);
      expect(first.requests).toHaveLength(1);
    },
  );

  it('leader: a stale leader is left for the one it was replaced by', async () => {
    first.answer = () => problemAnswer('STALE_TERM');
    second.answer = applied;
    expect((await clientOf(first.url, second.url).call(ask, within(3_000))).status).toBe(200);
  });

  it.each([
    ['breaks off', { status: 200, cut: true }],
    ['is no JSON', { status: 502, text: '<h1>Bad gateway</h1>' }],
    ['is an error of the node', problemAnswer('INTERNAL')],
  ])('leader: an answer that %s says nothing, so it is asked for again', async (_, answer) => {
    first.answer = () => (first.requests.length === 1 ? answer : applied());
    expect((await clientOf(first.url).call(ask, within(3_000))).json).toEqual({ applied: true });
    expect(first.requests).toHaveLength(2);
  });

  it('leader: an answer without a body is one', async () => {
    first.answer = () => ({ status: 204 });
    expect(await clientOf(first.url).call(ask, within(3_000))).toMatchObject({
      status: 204,
      json: undefined,
    });
  });
});

describe('bodies', () => {
  const streamOf = (make: () => Readable, contentLength: number) => {
    let made = 0;
    return {
      made: () => made,
      request: {
        method: 'POST',
        path: '/internal/files/1/content',
        timeoutMs: 3_000,
        body: () => {
          made += 1;
          return { stream: make(), contentType: 'application/octet-stream', contentLength };
        },
      } as const,
    };
  };

  it('body: a stream is made anew for the leader after a follower has read it', async () => {
    first.answer = follower(second.url);
    second.answer = applied;
    const { made, request } = streamOf(() => Readable.from([Buffer.from('whole')]), 5);
    expect((await clientOf(first.url, second.url).call(request, within(5_000))).status).toBe(200);
    expect(made()).toBe(2);
    expect(second.requests[0]?.json).toEqual(Buffer.from('whole'));
  });

  it('body: one that breaks off by itself is not sent again', async () => {
    first.answer = applied;
    const { made, request } = streamOf(
      () =>
        Readable.from(
          (function* () {
            yield Buffer.from('ha');
            throw new Failure('FILE_TRUNCATED', 'the source broke off');
          })(),
        ),
      4,
    );
    const failure = await caught(clientOf(first.url).call(request, within(5_000)));
    expect(failure.cause).toMatchObject({ code: 'FILE_TRUNCATED' });
    expect(made()).toBe(1);
  });

  it('body: a download comes from the leader as a stream', async () => {
    first.answer = follower(second.url);
    second.answer = applied;
    const stream = await clientOf(first.url, second.url).download(
      { method: 'GET', path: '/internal/export', timeoutMs: 2_000 },
      within(3_000),
    );
    expect(Buffer.concat(await stream.toArray()).toString()).toBe('{"applied":true}');
  });
});

describe('certificates', () => {
  it('certificates: renewed ones are used without a new client', async () => {
    first.answer = applied;
    const client = clientOf(first.url);
    await client.call(ask, within(3_000));
    const renewedFolder = join(folder, 'renewed');
    await mkdir(renewedFolder);
    const renewed = await makeCertificates(renewedFolder);
    const { port } = new URL(first.url);
    await first.close();
    first = await startLeaderNode(renewed, { port: Number(port) });
    opened.push(first);
    first.answer = applied;
    // The old ones are of another authority: nobody is believed, whoever answers.
    expect((await caught(client.call({ ...ask, timeoutMs: 500 }, within(400)))).code).toBe('INTERNAL');
    expect(first.requests).toHaveLength(0);
    used = renewed;
    expect((await client.call(ask, within(3_000))).status).toBe(200);
  });
});

async function caught(promise: Promise<unknown>): Promise<Failure> {
  const failure = await promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  if (failure instanceof Failure) return failure;
  throw failure;
}

/** A TCP listener that speaks no TLS. */
async function startListener(onConnection: (socket: Socket) => void = () => undefined) {
  let connections = 0;
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  opened.push({
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  });
  return { url: `https://127.0.0.1:${address.port}`, connections: () => connections };
}
