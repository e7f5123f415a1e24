// The spans of one delivery, from the page that was scraped to the write: pure. The ids are those that its traceparents
// carried, where a process had one; those of the fetch and of the write are derived from them, so that spans which are
// sent again, their answer having been lost, are the same spans.
// Attributes are those of OpenTelemetry's semantic conventions for messaging, HTTP and databases; ours begin with `baton.`.
import { createHash } from 'node:crypto';
import type { ItemVerdict } from '../../contracts/node-api.ts';
import { exchanges, queues } from '../../contracts/topology.ts';
import type { NotedDelivery } from './deliveries.ts';

export interface TracedDelivery extends NotedDelivery {
  /** The source of its items; undefined where none could be read. */
  readonly source: string | undefined;
  readonly node: string;
  readonly term: number;
  readonly writtenAt: string;
  readonly verdicts: Readonly<Record<ItemVerdict['kind'], number>>;
  /** Whether its publication, and this receipt of it, were told before: a message may come in several batches. */
  readonly told: { readonly publication: boolean; readonly receipt: boolean };
}
export interface Span {
  readonly service: 'scraper' | 'deliver' | 'node';
  readonly name: string;
  readonly kind: 'client' | 'producer' | 'consumer';
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly startAt: string;
  readonly endAt: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** Why it failed. */
  readonly error: string | undefined;
}

/** Those that lead to a write come with it: what never reaches a leader has a dead letter or waits, and no span. */
export function spansOf(delivery: TracedDelivery): Span[] {
  const { traceId, spanId } = idsOf(delivery.traceparent);
  const publishedAs =
    delivery.publishedTraceparent === undefined ? undefined : idsOf(delivery.publishedTraceparent).spanId;
  const receipt = { traceId, spanId, parentSpanId: publishedAs };
  return [
    ...(publishedAs === undefined || delivery.told.publication
      ? []
      : publication(delivery, { traceId, spanId: publishedAs })),
    ...(delivery.told.receipt ? [] : [processing(delivery, receipt)]),
    writing(delivery, receipt),
  ];
}

/** The scraper says when it had the page and when it published what it found, but not how long the fetch took. */
function publication(
  { url, fetchedAt, publishedAt, messageId, source }: TracedDelivery,
  { traceId, spanId }: { traceId: string; spanId: string },
): Span[] {
  const fetchId = derivedId('fetch', spanId);
  return [
    {
      ...span('scraper', 'client', 'fetch page', { startAt: fetchedAt, endAt: fetchedAt }),
      traceId,
      spanId: fetchId,
      parentSpanId: undefined,
      attributes: { 'http.request.method': 'GET', ...urlAttributes(url), ...sourceAttribute(source) },
    },
    {
      ...span('scraper', 'producer', `publish ${exchanges.main.name}`, {
        startAt: fetchedAt,
        endAt: publishedAt ?? fetchedAt,
      }),
      traceId,
      spanId,
      parentSpanId: fetchId,
      attributes: {
        'messaging.system': 'rabbitmq',
        'messaging.operation.name': 'publish',
        'messaging.operation.type': 'send',
        'messaging.destination.name': exchanges.main.name,
        'messaging.message.id': messageId,
        ...sourceAttribute(source),
      },
    },
  ];
}

/** It ends for `deliver` a little later than here: when the leader's answer has come. */
function processing(
  { receivedAt, writtenAt, messageId, attempt, source }: TracedDelivery,
  ids: Pick<Span, 'traceId' | 'spanId' | 'parentSpanId'>,
): Span {
  return {
    ...span('deliver', 'consumer', `process ${queues.items.name}`, { startAt: receivedAt, endAt: writtenAt }),
    ...ids,
    attributes: {
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': queues.items.name, // Or a partition of it.
      'messaging.message.id': messageId,
      'baton.attempt': attempt,
      ...sourceAttribute(source),
    },
  };
}

function writing(
  delivery: TracedDelivery,
  { traceId, spanId }: Pick<Span, 'traceId' | 'spanId' | 'parentSpanId'>,
): Span {
  const { postedAt, writtenAt, node, term, verdicts, messageId, source } = delivery;
  const items = Object.values(verdicts).reduce((sum, count) => sum + count, 0);
  return {
    ...span('node', 'client', 'write items', { startAt: postedAt, endAt: writtenAt }),
    traceId,
    spanId: derivedId('write', `${spanId} ${postedAt}`),
    parentSpanId: spanId,
    attributes: {
      'db.system.name': 'postgresql',
      'messaging.message.id': messageId,
      'baton.leader': node,
      'baton.term': term,
      'baton.items': items,
      ...Object.fromEntries(
        Object.entries(verdicts).map(([verdict, count]) => [`baton.items.${verdict}`, count]),
      ),
      ...sourceAttribute(source),
    },
    error: verdicts.invalid > 0 ? `${verdicts.invalid} of ${items} items are invalid` : undefined,
  };
}

function span(
  service: Span['service'],
  kind: Span['kind'],
  name: string,
  { startAt, endAt }: { startAt: string; endAt: string },
) {
  // Clocks of two machines may disagree, and no span ends before it begins.
  return { service, kind, name, startAt, endAt: endAt < startAt ? startAt : endAt, error: undefined };
}
const sourceAttribute = (source: string | undefined): Record<string, string> =>
  source === undefined ? {} : { 'baton.source': source };

function urlAttributes(url: string): Record<string, string> {
  const parsed = URL.parse(url);
  if (!parsed) return {}; // Cut off at its 500th character, in the middle of an escape.
  parsed.username = '';
  parsed.password = '';
  return { 'url.full': parsed.href, 'server.address': parsed.hostname };
}

/** https://www.w3.org/TR/trace-context/#traceparent-header */
function idsOf(traceparent: string): { traceId: string; spanId: string } {
  return { traceId: traceparent.slice(3, 35), spanId: traceparent.slice(36, 52) };
}
function derivedId(what: string, of: string): string {
  return createHash('sha256').update(`${what} ${of}`).digest('hex').slice(0, 16);
}
