// The intermediary's three handlers as Lambda calls them, against DynamoDB (dynalite) and a node over mutual TLS: an
// announcement reaches the directory, the front leads to it, and a page of items is posted to it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Announcement } from '../../../contracts/announcement.ts';
import type { BatchRequest } from '../../../contracts/node-api.ts';
import { startAwsServices, type AwsServices } from '../../../emulator/services/aws/aws.ts';
import { openLeaderDirectory, type LeaderDirectory } from '../../../functions/leader-directory.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { invoke, loadHandler, type LambdaHandler } from '../../support/invoke.ts';
import { startLeaderNode, type LeaderNode } from '../../support/leader-node.ts';

const region = 'eu-central-1';
const cluster = 'baton';
const table = 'baton-directory';
const database = '3f6f1d38-5b1a-4b4e-8a7b-2f0e5d9c4a10';
const otherDatabase = '9b0e5c1e-1111-4b4e-8a7b-2f0e5d9c4a10';
let folder: string;
let aws: AwsServices;
let node: LeaderNode;
let directory: LeaderDirectory;
let handlers: Record<'announce' | 'redirect' | 'deliver', LambdaHandler>;
let term = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-intermediary-'));
  const certificates = await makeCertificates(folder);
  await writeFile(join(folder, 'credentials.json'), '{"username":"baton","password":"unused"}');
  aws = await startAwsServices({ host: '127.0.0.1', sqsPort: 0, dynamodbPort: 0, region });
  node = await startLeaderNode(certificates);
  const common = {
    BATON_CLUSTER: cluster,
    BATON_DIRECTORY_TABLE: table,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: aws.dynamodbUrl,
  };
  handlers = {
    announce: await loadHandler('announce', common),
    redirect: await loadHandler('redirect', common),
    deliver: await loadHandler('deliver', {
      ...common,
      BATON_NODE_URLS: node.url,
      BATON_TLS_CA_URI: pathToFileURL(certificates.caFile).href,
      BATON_TLS_CERT_URI: pathToFileURL(certificates.certFile).href,
      BATON_TLS_KEY_URI: pathToFileURL(certificates.keyFile).href,
      BATON_BROKER_URL: 'amqps://127.0.0.1:1/',
      BATON_BROKER_CREDENTIALS_URI: pathToFileURL(join(folder, 'credentials.json')).href,
    }),
  };
  directory = openLeaderDirectory({ table, region });
});
afterAll(async () => {
  directory.close();
  await node.close();
  await aws.close();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  term += 10; // Every test is a newer time.
});

const announcement = (changes: Partial<Announcement> = {}): Announcement => ({
  version: 1,
  cluster,
  clusterId: database,
  term,
  sequence: 5,
  nodeId: 'node-1',
  internalUrl: node.url,
  publicUrl: 'http://127.0.0.1:7401',
  state: 'leading',
  ...changes,
});
const record = (body: unknown, sentAt = Date.now()) => ({
  messageId: crypto.randomUUID(),
  body: typeof body === 'string' ? body : JSON.stringify(body),
  attributes: { SentTimestamp: String(sentAt) },
  eventSource: 'aws:sqs',
});
const announce = (...records: object[]) =>
  invoke(handlers.announce, { Records: records }, { function: 'announce' });
const ask = (rawPath = '/', rawQueryString = '', method = 'GET') =>
  invoke(
    handlers.redirect,
    { version: '2.0', rawPath, rawQueryString, requestContext: { http: { method } } },
    { function: 'redirect' },
  ) as Promise<{ statusCode: number; headers: Record<string, string>; body: string }>;
/** Past what the front believes without reading again. */
const forgotten = () => new Promise((resolve) => setTimeout(resolve, 510));
const fine = { batchItemFailures: [] };

describe('announce', () => {
  it('announce: the newest of a batch is kept, with 6 s from when SQS took it', async () => {
    const sentAt = Date.now() - 1_000;
    expect(
      await announce(
        record(announcement({ sequence: 4 })),
        record(announcement({ sequence: 6 }), sentAt),
        record(announcement({ sequence: 5 })),
      ),
    ).toEqual(fine);
    expect(await directory.read(cluster)).toEqual({
      ...announcement({ sequence: 6 }),
      validUntilMs: sentAt + 6_000,
    });
  });

  it('announce: a time of SQS in the future gives no longer life', async () => {
    await announce(record(announcement(), Date.now() + 3_600_000));
    expect((await directory.read(cluster))?.validUntilMs).toBeLessThanOrEqual(Date.now() + 6_000);
  });

  it.each([
    ['an older term', { term: 1, sequence: 100 }],
    ['the same term and a lower sequence', { sequence: 4 }],
    ['the same term and the same sequence', { nodeId: 'node-3' }],
  ])('announce: %s changes nothing and fails nothing', async (_, changes) => {
    await announce(record(announcement()));
    expect(await announce(record(announcement({ ...changes, publicUrl: 'http://127.0.0.1:1' })))).toEqual(
      fine,
    );
    expect(await directory.read(cluster)).toMatchObject({
      nodeId: 'node-1',
      term,
      sequence: 5,
      publicUrl: 'http://127.0.0.1:7401',
    });
  });

  it.each([
    ['a higher term with a lower sequence', { sequence: 1 }, 1],
    ['a resignation of the same term', { sequence: 6, state: 'resigned' as const }, 0],
  ])('announce: %s replaces the entry', async (_, changes, later) => {
    await announce(record(announcement()));
    const next = announcement({ ...changes, term: term + later });
    await announce(record(next));
    expect(await directory.read(cluster)).toMatchObject(next);
  });

  it('announce: another database takes the directory over only when the entry has run out', async () => {
    await announce(record(announcement()));
    const other = announcement({ clusterId: otherDatabase, term: 1, sequence: 1 });
    expect(await announce(record(other))).toEqual(fine);
    expect(await directory.read(cluster)).toMatchObject({ clusterId: database });
    const nowMs = Date.now();
    const entry = { ...other, validUntilMs: nowMs + 6_000 };
    expect(await directory.store(entry, nowMs + 6_001)).toBe(true);
    expect(await directory.read(cluster)).toEqual(entry);
    // And back, for the tests that follow.
    expect(await directory.store({ ...announcement(), validUntilMs: nowMs }, nowMs + 12_002)).toBe(true);
  });

  it.each([
    ['no JSON', '{"version":'],
    ['no announcement', { hello: 'world' }],
    ['a newer version', { version: 2, cluster }],
    ['another cluster', { cluster: 'other' }],
    ['a term of text', { term: 'seven' }],
    ['17 kB', 'x'.repeat(17 * 1024)],
  ])('announce: %s is passed over, and the announcement behind it is stored', async (_, body) => {
    const bad =
      typeof body === 'string'
        ? body
        : { ...('cluster' in body || 'term' in body ? announcement() : {}), ...body };
    expect(await announce(record(bad), { no: 'message' }, record(announcement()))).toEqual(fine);
    expect(await directory.read(cluster)).toMatchObject({ term, sequence: 5 });
  });

  it.each([{}, null, { Records: 'none' }, { Records: [] }, []])(
    'announce: an event of %j fails nothing',
    async (event) => {
      expect(await invoke(handlers.announce, event, { function: 'announce' })).toEqual(fine);
    },
  );

  it('announce: the ready event file is an old announcement of this cluster', async () => {
    const event = JSON.parse(
      await readFile(new URL('../../support/events/sqs-announcement.json', import.meta.url), 'utf8'),
    ) as object;
    expect(await invoke(handlers.announce, event, { function: 'announce' })).toEqual(fine);
  });
});

describe('redirect', () => {
  it('redirect: path and query are kept on the way to the leader, whatever the method', async () => {
    await announce(record(announcement()));
    await forgotten();
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'])
      expect(await ask('/sources/a%20b/items', 'limit=20&after=x%26y', method)).toEqual({
        statusCode: 307,
        headers: {
          location: 'http://127.0.0.1:7401/sources/a%20b/items?limit=20&after=x%26y',
          'cache-control': 'no-store',
        },
        body: '',
      });
  });

  it('redirect: the front follows a change of leader within the cache’s half second', async () => {
    await announce(record(announcement()));
    await forgotten();
    expect((await ask()).headers['location']).toBe('http://127.0.0.1:7401/');
    await announce(record(announcement({ term: term + 1, publicUrl: 'http://127.0.0.1:7402' })));
    await forgotten();
    expect((await ask()).headers['location']).toBe('http://127.0.0.1:7402/');
  });

  it('redirect: a leader that waits for its database is led to', async () => {
    await announce(record(announcement({ state: 'waiting' })));
    await forgotten();
    expect((await ask()).statusCode).toBe(307);
  });

  it.each([
    ['resigned', { state: 'resigned' as const }, 0],
    ['last announced itself more than 6 s ago', {}, 6_001],
  ])('redirect: a leader that %s is not led to: 503 with Retry-After', async (_, changes, agoMs) => {
    await announce(record(announcement(changes), Date.now() - agoMs));
    await forgotten();
    const { statusCode, headers, body } = await ask();
    expect({ statusCode, headers }).toEqual({
      statusCode: 503,
      headers: {
        'content-type': 'application/problem+json; charset=utf-8',
        'cache-control': 'no-store',
        'retry-after': '2',
      },
    });
    expect(JSON.parse(body)).toMatchObject({ status: 503, code: 'NO_LEADER', retryAfterMs: 2_000 });
  });
});

describe('deliver', () => {
  const page = async () =>
    JSON.parse(
      await readFile(new URL('../../support/events/rabbitmq-items-page.json', import.meta.url), 'utf8'),
    ) as object;

  it('deliver: the ready event file is posted to the announced leader over mutual TLS', async () => {
    await announce(record(announcement()));
    node.answer = ({ json }) => ({
      status: 200,
      json: { term, results: (json as BatchRequest).items.map(() => ({ kind: 'applied' })) },
    });
    expect(await invoke(handlers.deliver, await page(), { function: 'deliver' })).toMatchObject({
      messages: 1,
      items: 2,
      applied: 2,
      retried: 0,
    });
    expect(node.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /internal/batches']);
    expect(node.requests[0]?.headers['traceparent']).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-/);
  });

  it('deliver: with neither leader nor broker the invocation fails inside its time, so that RabbitMQ keeps the batch', async () => {
    node.answer = () => ({ status: 503, json: { type: 'x', title: 'x', status: 503, code: 'NO_LEADER' } });
    // One that does not end inside its time is ended with another error.
    await expect(
      invoke(handlers.deliver, await page(), { function: 'deliver', timeoutMs: 3_000 }),
    ).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  });
});

describe('without DynamoDB', () => {
  it('without DynamoDB: an announcement fails no message, and the front answers 503, both inside their time', async () => {
    await forgotten();
    await aws.close();
    const startedAt = performance.now();
    expect(
      await invoke(
        handlers.announce,
        { Records: [record(announcement())] },
        { function: 'announce', timeoutMs: 4_000 },
      ),
    ).toEqual(fine);
    expect((await ask()).statusCode).toBe(503);
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    aws = await startAwsServices({ host: '127.0.0.1', sqsPort: 0, dynamodbPort: 0, region });
  });
});
