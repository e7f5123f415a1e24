// A collector of traces for tests: a real HTTP server that reads OTLP in JSON as the specification has it, and answers
// what the test says.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { freePort } from './ports.ts';

export interface ReceivedSpan {
  readonly service: string;
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly error: string | undefined;
}
export interface TestCollector {
  readonly url: string;
  /** Of the requests that were answered with 200. */
  readonly spans: ReceivedSpan[];
  requests: number;
  readonly headers: IncomingHttpHeaders[];
  /** Asked for each request; replaced by the test as it goes on. */
  answer: () => { status: number; text: string } | Promise<{ status: number; text: string }>;
  close(): Promise<void>;
}

// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids in hex and not in base64, enums as numbers,
// 64-bit integers as decimal strings, or as numbers.
const nanoseconds = z.string().regex(/^\d{19}$/);
const attributesSchema = z
  .array(
    z.object({
      key: z.string(),
      value: z.strictObject({
        stringValue: z.string().optional(),
        intValue: z.union([z.int(), z.string().regex(/^-?\d+$/)]).optional(),
      }),
    }),
  )
  .transform((pairs) =>
    Object.fromEntries(
      pairs.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)] as const),
    ),
  );
const spanSchema = z.object({
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  spanId: z.string().regex(/^[0-9a-f]{16}$/),
  parentSpanId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  name: z.string().min(1),
  kind: z.int().min(1).max(5),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds,
  attributes: attributesSchema,
  status: z.object({ code: z.int().min(0).max(2), message: z.string().optional() }),
});
const requestSchema = z.object({
  resourceSpans: z
    .array(
      z.object({
        resource: z.object({ attributes: attributesSchema }),
        scopeSpans: z.array(z.object({ spans: z.array(spanSchema).min(1) })).min(1),
      }),
    )
    .min(1),
});
const kinds = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'];

/** @throws Error when its port is taken. */
export async function startCollector(options: { port?: number } = {}): Promise<TestCollector> {
  const port = options.port ?? (await freePort());
  const collector: TestCollector = {
    url: `http://127.0.0.1:${port}`,
    spans: [],
    requests: 0,
    headers: [],
    answer: () => ({ status: 200, text: '{}' }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      collector.requests += 1;
      collector.headers.push(request.headers);
      void (async () => {
        const { status, text } = await collector.answer();
        if (status === 200) {
          if (request.method !== 'POST' || request.url !== '/v1/traces')
            throw new Error(`${request.method} ${request.url}`);
          collector.spans.push(...read(Buffer.concat(chunks).toString('utf8')));
        }
        response.writeHead(status, { 'content-type': 'application/json' }).end(text);
      })().catch((error: unknown) => response.writeHead(400).end(String(error)));
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return collector;
}

/** In the order of the path, as the spans of one message were told. */
function read(text: string): ReceivedSpan[] {
  return requestSchema.parse(JSON.parse(text)).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        service: String(resource.attributes['service.name']),
        name: span.name,
        kind: kinds[span.kind] ?? '',
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
        attributes: span.attributes,
        error: span.status.code === 2 ? span.status.message : undefined,
      })),
    ),
  );
}
