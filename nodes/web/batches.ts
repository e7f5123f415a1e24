// POST of a batch of items to the leader: each is judged by its schema, those that pass are written in one statement, and
// each gets a verdict of its own, in their order. So many batches at once and no more.
import type { FastifyInstance } from 'fastify';
import { detailText } from '../../contracts/event.ts';
import { itemSchema, type Item } from '../../contracts/item.ts';
import {
  batchBodyBytesMax,
  batchRequestSchema,
  routes,
  type BatchAnswer,
  type BatchRequest,
  type ItemVerdict,
} from '../../contracts/node-api.ts';
import { Failure } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Leadership } from '../leadership.ts';
import type { Store } from '../store.ts';
import type { Deliveries } from '../tracing/deliveries.ts';
import type { TraceExport } from '../tracing/trace-export.ts';
import { parse } from './parse-request.ts';

export interface BatchOptions {
  readonly leadership: Leadership;
  readonly store: Pick<Store, 'writeBatch'>;
  readonly logger: Pick<Logger, 'emit'>;
  /** Batches at once; one more is answered BUSY. */
  readonly batchesInFlightMax: number;
  readonly deliveries: Pick<Deliveries, 'note'>;
  /** Undefined where traces are told to nobody. */
  readonly traces?: Pick<TraceExport, 'note'> | undefined;
}

export function addBatches(app: FastifyInstance, options: BatchOptions): void {
  const { leadership } = options;
  let batches = 0;
  app.post(routes.batches, { bodyLimit: batchBodyBytesMax }, async (request): Promise<BatchAnswer> => {
    // Those who wait for an election are not in flight: nobody here could tell them that the leader is busy.
    await leadership.settled();
    if (batches >= options.batchesInFlightMax)
      throw new Failure('BUSY', `${batches} batches are in flight`, { details: { retryAfterMs: 200 } });
    const { items, messages } = parse(batchRequestSchema, request.body);
    const postedAt = new Date().toISOString();
    batches += 1;
    try {
      const answer = await writeBatch(items, options);
      options.deliveries.note(messages, { term: answer.term, postedAt });
      options.traces?.note({ messages, items, ...answer, node: leadership.nodeId, postedAt });
      return answer;
    } finally {
      batches -= 1;
    }
  });
}

async function writeBatch(
  items: BatchRequest['items'],
  { leadership, store, logger }: Pick<BatchOptions, 'leadership' | 'store' | 'logger'>,
): Promise<BatchAnswer> {
  const startedAt = performance.now();
  const results: (ItemVerdict | undefined)[] = items.map(() => undefined);
  const valid: { index: number; entry: BatchRequest['items'][number] & { item: Item } }[] = [];
  for (const [index, entry] of items.entries()) {
    const parsed = itemSchema.safeParse(entry.item);
    if (parsed.success) valid.push({ index, entry: { ...entry, item: parsed.data } });
    else {
      const reason = describeIssues(issuesOf(parsed.error));
      results[index] = { kind: 'invalid', code: 'ITEM_MALFORMED', reason: detailText(reason) };
    }
  }
  const answer = await leadership.write('batch', async (term) => {
    const verdicts =
      valid.length === 0
        ? []
        : await store.writeBatch(
            term,
            valid.map(({ entry }) => entry),
          );
    return { term, verdicts };
  });
  for (const [position, { index }] of valid.entries()) results[index] = answer.verdicts[position];
  const complete = results.map((verdict) => {
    if (verdict === undefined) throw new Failure('INTERNAL', 'the database gave fewer verdicts than items');
    return verdict;
  });
  const count = (kind: ItemVerdict['kind']): number => complete.filter((one) => one.kind === kind).length;
  logger.emit({
    type: 'batch.applied',
    node: leadership.nodeId,
    term: answer.term,
    applied: count('applied'),
    unchanged: count('unchanged'),
    stale: count('stale'),
    invalid: count('invalid'),
    tookMs: Math.round(performance.now() - startedAt),
  });
  return { term: answer.term, results: complete };
}
