// What a collector that is away, slow, full or of another mind does to the export: it is said once, costs the oldest, and
// stops nothing. And what a node has of it where no collector is named: nothing.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openCollector } from '../../../nodes/tracing/otlp.ts';
import { Problems } from '../../../nodes/health/problems.ts';
import { TraceExport, type SpanSender } from '../../../nodes/tracing/trace-export.ts';
import { readEnvironment } from '../../../runtime/config.ts';
import { childTraceparent, newTraceparent } from '../../../runtime/trace.ts';
import { startCollector, type TestCollector } from '../../support/collector.ts';

// A portion that a busy machine answers late would be told twice, and the counts be wrong.
const pace = { sendEveryMs: 10, answerWithinMs: 10_000, restMsFirst: 100, restMsMax: 100 };
const within = { timeout: 10_000 };
let collector: TestCollector;
let problems: Problems;
let said: string[];
let traces: TraceExport | undefined;

beforeEach(async () => {
  collector = await startCollector();
  [problems, said, traces] = [new Problems(), [], undefined];
});
afterEach(async () => {
  await traces?.close();
  await collector.close();
});

const senderTo = (url: string, headers?: string): SpanSender =>
  openCollector({
    url: `${url}/v1/traces`,
    headers: headers === undefined ? undefined : async () => headers,
    cluster: 'test',
    nodeId: 'node-1',
  });
function exportTo(sender: SpanSender, over: Partial<typeof pace> = {}): TraceExport {
  const report = (words: string): void => void said.push(words);
  traces = new TraceExport({ sender, problems, report, pace: { ...pace, ...over } });
  return traces;
}
/** Each one of a page of its own, and of one item. */
function batch(
  count: number,
  {
    first = 0,
    flags = '01',
    verdict = 'applied',
  }: { first?: number; flags?: string; verdict?: 'applied' | 'invalid' } = {},
) {
  const at = new Date().toISOString();
  const messages = Array.from({ length: count }, (_, index) => {
    const publishedTraceparent = newTraceparent();
    return {
      messageId: `m-${first + index}`,
      publishedTraceparent,
      traceparent: childTraceparent(publishedTraceparent).slice(0, 53) + flags,
      url: 'https://ann:secret@shop.example/a',
      fetchedAt: at,
      publishedAt: at,
      attempt: 1,
      receivedAt: at,
    };
  });
  const items = messages.map(({ messageId, traceparent }) => ({
    messageId,
    traceparent,
    item: { source: 'shop' },
  }));
  const results = items.map(() =>
    verdict === 'applied'
      ? ({ kind: 'applied' } as const)
      : ({ kind: 'invalid', code: 'ITEM_MALFORMED', reason: 'a price is no number' } as const),
  );
  return { messages, items, results, node: 'node-1', term: 3, postedAt: at };
}
const told = () =>
  collector.spans
    .filter(({ kind }) => kind === 'CONSUMER')
    .map(({ attributes }) => attributes['messaging.message.id']);

test('a collector that comes up later gets what waited, and its absence is said once', async () => {
  const { url } = collector;
  await collector.close();
  const traces = exportTo(senderTo(url));
  traces.note(batch(3));
  await vi.waitUntil(() => problems.list().length === 1, within);
  expect(problems.list()).toEqual([
    'the collector of traces takes no spans: 3 deliveries wait, 0 were given up; nothing else waits for it',
  ]);
  await new Promise((resolve) => setTimeout(resolve, 350)); // Three more tries.
  expect(said).toEqual([expect.stringMatching(/^the collector of traces takes no spans: .*ECONNREFUSED/)]);
  collector = await startCollector({ port: Number(new URL(url).port) });
  await vi.waitUntil(() => collector.spans.length === 12, within);
  await vi.waitUntil(() => problems.list().length === 0, within);
  expect(said[1]).toBe('the collector of traces takes spans again; 0 deliveries had to be given up');
});

test('one that hangs is given up after the bound, one request at a time, and is told again with the same ids', async () => {
  let hangs = true;
  let read = 0;
  const sender = senderTo(collector.url);
  const sent: string[][] = [];
  collector.answer = () => {
    read += 1;
    return hangs ? new Promise(() => undefined) : { status: 200, text: '' };
  };
  const traces = exportTo(
    {
      ...sender,
      async send(deliveries, signal) {
        sent.push(deliveries.map(({ traceparent }) => traceparent));
        return sender.send(deliveries, signal);
      },
    },
    { answerWithinMs: 1_000, restMsFirst: 1_000, restMsMax: 1_000 },
  );
  traces.note(batch(2));
  await vi.waitUntil(() => problems.list().length === 1, within);
  expect(read).toBe(1);
  hangs = false;
  await vi.waitUntil(() => collector.spans.length === 8, within);
  expect(sent.at(-1)).toEqual(sent[0]);
  expect(said[0]).toMatch(/timeout/);
});

test('what is more than 5,000 deliveries costs the oldest, and is counted', async () => {
  collector.answer = () => ({ status: 503, text: 'starting' });
  const traces = exportTo(senderTo(collector.url));
  traces.note(batch(1));
  await vi.waitUntil(() => problems.list().length === 1, within);
  for (let first = 1; first < 7_000; first += 1_000) traces.note(batch(1_000, { first }));
  await vi.waitUntil(
    () => problems.list()[0]?.includes(' were given up') && !problems.list()[0]?.includes(' 0 were'),
    within,
  );
  expect(problems.list()[0]).toMatch(
    /^the collector of traces takes no spans: 5000 deliveries wait, 2001 were given up/,
  );
  collector.answer = () => ({ status: 200, text: '{}' });
  await vi.waitUntil(() => told().length === 5_000, within);
  expect([told()[0], told().at(-1)]).toEqual(['m-2001', 'm-7000']);
  expect(said.at(-1)).toBe('the collector of traces takes spans again; 2001 deliveries had to be given up');
  expect(said).toHaveLength(2);
}, 20_000);

test.each([
  [{ status: 400, text: 'bad data' }, /HTTP 400: bad data/],
  [{ status: 302, text: '' }, /HTTP 302/],
  [
    { status: 200, text: '{"partialSuccess":{"rejectedSpans":"4","errorMessage":"too old"}}' },
    /4 spans: too old/,
  ],
])('what a collector refuses is not sent again: %j', async (answer, reason) => {
  collector.answer = () => answer;
  const traces = exportTo(senderTo(collector.url));
  traces.note(batch(1));
  await vi.waitUntil(() => problems.list()[0]?.includes('0 deliveries wait, 1 were given up'), within);
  expect(said).toEqual([expect.stringMatching(reason)]);
  expect(problems.list()[0]).not.toMatch(reason);
  collector.answer = () => ({ status: 200, text: '{}' });
  collector.spans.length = 0;
  traces.note(batch(1, { first: 7 }));
  await vi.waitUntil(() => told().length === 1, within);
  expect(told()).toEqual(['m-7']);
});

test('headers come with each request, passwords of addresses do not, and invalid items make an error', async () => {
  const traces = exportTo(senderTo(collector.url, 'Authorization=Bearer%20abc, x-team = shops'));
  traces.note(batch(1, { verdict: 'invalid' }));
  await vi.waitUntil(() => collector.spans.length === 4, within);
  expect(collector.headers[0]).toMatchObject({ authorization: 'Bearer abc', 'x-team': 'shops' });
  expect(collector.spans[0]?.attributes['url.full']).toBe('https://shop.example/a');
  expect(collector.spans.map(({ error }) => error)).toEqual([
    undefined,
    undefined,
    undefined,
    '1 of 1 items are invalid',
  ]);
});

test('a message in two batches is one publication and one receipt, and two writes', async () => {
  const traces = exportTo(senderTo(collector.url));
  const parts = batch(1);
  traces.note(parts);
  traces.note({ ...parts, postedAt: new Date(Date.now() + 5).toISOString() });
  await vi.waitUntil(() => collector.spans.length === 5, within);
  expect(collector.spans.map(({ name }) => name).toSorted()).toEqual([
    'fetch page',
    'process items',
    'publish baton',
    'write items',
    'write items',
  ]);
  expect(new Set(collector.spans.map(({ spanId }) => spanId)).size).toBe(5);
});

test('a trace that is not sampled is not told', async () => {
  const traces = exportTo(senderTo(collector.url));
  traces.note(batch(1, { flags: '00' }));
  traces.note(batch(1, { first: 5 }));
  await vi.waitUntil(() => told().length > 0, within);
  expect(told()).toEqual(['m-5']);
});

test('an end in order tells what waits; with a collector that hangs it is over soon', async () => {
  const ending = new TraceExport({
    sender: senderTo(collector.url),
    problems,
    report: (words) => void said.push(words),
  });
  ending.note(batch(130)); // More than one request holds.
  await ending.close();
  expect(told()).toHaveLength(130);
  collector.answer = () => new Promise(() => undefined);
  const hanging = new TraceExport({
    sender: senderTo(collector.url),
    problems,
    report: (words) => void said.push(words),
  });
  hanging.note(batch(3));
  const startedAt = performance.now();
  await hanging.close();
  expect(performance.now() - startedAt).toBeLessThan(4_000); // And not after the five seconds of another request.
  expect(said.at(-1)).toBe('3 deliveries were not told to the collector of traces');
});

test('switched off, a node loads nothing of it; named, a collector makes it load', async () => {
  expect(await loadedWith({})).toEqual({ collector: 'undefined', loaded: [] });
  const named = await loadedWith({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  expect(named.collector).toBe('object');
  expect(named.loaded).toContain('@opentelemetry/otlp-transformer');
  expect(collector.requests).toBe(0);
});

/** A node's whole code, and the collector that a node opens by these variables, in a process of their own. */
async function loadedWith(
  variables: Record<string, string>,
): Promise<{ collector: string; loaded: string[] }> {
  const nodes = new URL('../../../nodes/', import.meta.url).href;
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({
      resolve(name, context, next) {
        // The metrics' library has the API's types of its own accord.
        if (name.startsWith('@opentelemetry/') && !context.parentURL.includes('/prom-client/')) loaded.add(name);
        return next(name, context);
      },
    });
    await import('${nodes}node.ts');
    await import('${nodes}database/database.ts');
    const { openNamedCollector } = await import('${nodes}tracing/open-collector.ts');
    const collector = await openNamedCollector({ BATON_CLUSTER: 'test', BATON_NODE_ID: 'node-1', ...${JSON.stringify(variables)} }, {});
    console.log(JSON.stringify({ collector: typeof collector, loaded: [...loaded] }));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script],
    { cwd: fileURLToPath(new URL('../../..', import.meta.url)), timeout: 30_000 },
  );
  return JSON.parse(stdout) as { collector: string; loaded: string[] };
}

test.each([
  ['http://127.0.0.1:4318', true],
  ['http://localhost:4318/base', true],
  ['https://collector.example', true],
  ['http://collector.example:4318', false],
  ['http://127.0.0.1.example', false],
  ['grpc://127.0.0.1:4317', false],
])('a collector at %s may be named: %s', (url, isTaken) => {
  let said = '';
  try {
    readEnvironment('node', { OTEL_EXPORTER_OTLP_ENDPOINT: url });
  } catch (error) {
    said = String(error);
  }
  expect(said).toContain('BATON_NODE_ID is missing'); // As is all else here.
  expect(!said.includes('OTEL_EXPORTER_OTLP_ENDPOINT is wrong')).toBe(isTaken);
});
