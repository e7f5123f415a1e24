// Spans to a collector: OTLP over HTTP with JSON (https://opentelemetry.io/docs/specs/otlp/). Loaded only where a collector
// is named, since the library behind it is most of what this costs a node.
import { SpanKind, SpanStatusCode, TraceFlags, type HrTime } from '@opentelemetry/api';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { describeError } from '../../runtime/failure.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { spansOf, type Span } from './delivery-spans.ts';
import type { SendOutcome, SpanSender } from './trace-export.ts';

type ReadableSpan = Parameters<typeof JsonTraceSerializer.serializeRequest>[0][number];

/** Those that the specification calls retryable. */
const retryable = new Set([429, 502, 503, 504]);
const answerBytesMax = 64 * 1024;
const reasonLengthMax = 200;
const partlyTaken = z.object({
  partialSuccess: z.object({
    rejectedSpans: z.coerce.number().default(0),
    errorMessage: z.string().default(''),
  }),
});
const kinds = {
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const satisfies Record<Span['kind'], SpanKind>;
const instrumentationScope = { name: 'baton' };

export function openCollector(options: {
  /** The whole URL, with its path. */
  readonly url: string;
  /** `name=value,name=value`, read for each request; undefined sends none. */
  readonly headers: (() => Promise<string>) | undefined;
  readonly cluster: string;
  readonly nodeId: string;
}): SpanSender {
  const { url, headers } = options;
  // One connection: there is one request at a time.
  const agent = new Agent({ connections: 1, maxResponseSize: answerBytesMax });
  const resourceOf = (service: Span['service']) =>
    resourceFromAttributes({
      'service.namespace': 'baton',
      'service.name': service,
      'deployment.environment.name': options.cluster,
      ...(service === 'node' ? { 'service.instance.id': options.nodeId } : {}),
    });
  const resources = {
    scraper: resourceOf('scraper'),
    deliver: resourceOf('deliver'),
    node: resourceOf('node'),
  } as const satisfies Record<Span['service'], unknown>;

  function toReadable(span: Span): ReadableSpan {
    const context = (spanId: string) => ({ traceId: span.traceId, spanId, traceFlags: TraceFlags.SAMPLED });
    const [startMs, endMs] = [Date.parse(span.startAt), Date.parse(span.endAt)];
    return {
      name: span.name,
      kind: kinds[span.kind],
      spanContext: () => context(span.spanId),
      ...(span.parentSpanId === undefined ? {} : { parentSpanContext: context(span.parentSpanId) }),
      startTime: timeOf(startMs),
      endTime: timeOf(endMs),
      duration: timeOf(endMs - startMs),
      status:
        span.error === undefined
          ? { code: SpanStatusCode.UNSET }
          : { code: SpanStatusCode.ERROR, message: span.error },
      attributes: { ...span.attributes },
      links: [],
      events: [],
      ended: true,
      resource: resources[span.service],
      instrumentationScope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  }

  return {
    async send(deliveries, signal): Promise<SendOutcome> {
      const spans = deliveries.flatMap(spansOf).map(toReadable);
      const body = JsonTraceSerializer.serializeRequest(spans);
      if (!body) return { kind: 'refused', reason: 'the spans could not be written out' };
      try {
        const answer = await request(url, {
          method: 'POST',
          dispatcher: agent,
          headers: { ...parseHeaders(await headers?.()), 'content-type': 'application/json' },
          body,
          signal,
        });
        return outcomeOf(answer.statusCode, await answer.body.text());
      } catch (error) {
        return { kind: 'not-now', reason: describeError(error) };
      }
    },
    close: () => agent.destroy(),
  };
}

function outcomeOf(status: number, text: string): SendOutcome {
  if (status >= 200 && status < 300) {
    const { rejectedSpans, errorMessage } = partlyTaken.safeParse(parseJson(text)).data?.partialSuccess ?? {
      rejectedSpans: 0,
      errorMessage: '',
    };
    return rejectedSpans > 0
      ? { kind: 'refused', reason: `${rejectedSpans} spans: ${errorMessage.slice(0, reasonLengthMax)}` }
      : { kind: 'taken' };
  }
  const reason = `HTTP ${status}: ${text.slice(0, reasonLengthMax)}`;
  return { kind: retryable.has(status) ? 'not-now' : 'refused', reason };
}

/** As OTEL_EXPORTER_OTLP_HEADERS is written: values are percent-encoded. */
function parseHeaders(text: string | undefined): Record<string, string> {
  const pairs = (text ?? '').split(',').map((pair) => pair.trim());
  return Object.fromEntries(
    pairs.filter(Boolean).map((pair) => {
      const [name = '', ...value] = pair.split('=');
      return [name.trim().toLowerCase(), decodeURIComponent(value.join('=').trim())];
    }),
  );
}

function timeOf(ms: number): HrTime {
  return [Math.floor(ms / 1_000), (ms % 1_000) * 1_000_000];
}
