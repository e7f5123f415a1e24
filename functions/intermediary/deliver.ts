// One batch of the queue `items` to the leader. A message is settled as a whole: every item has the leader's verdict
// and what is bad is dead-lettered, or the message waits in items.retry. Returns only when RabbitMQ may forget the
// batch; throws only when it could be neither settled nor published again.
import { messagesOf, type QueuedMessage } from '../../contracts/rabbitmq-event.ts';
import {
  batchAnswerSchema,
  routes,
  tracedUrlLengthMax,
  type BatchRequest,
  type ItemVerdict,
} from '../../contracts/node-api.ts';
import type { ItemPage } from '../../contracts/item-page.ts';
import { routingKeys } from '../../contracts/topology.ts';
import { codeOf, describeError } from '../../runtime/failure.ts';
import { inParallel } from '../../runtime/in-parallel.ts';
import { childTraceparent } from '../../runtime/trace.ts';
import { pause } from '../../runtime/waiting.ts';
import { isForAPerson } from '../is-for-a-person.ts';
import { attemptOf, deadLetter, publishedAtOf, publishRetry, type PublishPorts } from '../dead-letter.ts';
import type { LeaderClient } from '../leader-client.ts';
import { judgePage, messageIdOf, type BadItem } from './judge-page.ts';
import { selectNewest, splitIntoBatches, toEntry, type Candidate } from './plan-batches.ts';

export interface DeliverPorts extends PublishPorts {
  readonly leader: Pick<LeaderClient, 'call'>;
}
/** Items, but for the first three, which are messages. */
export interface DeliverCounts {
  messages: number;
  deadLettered: number;
  retried: number;
  items: number;
  applied: number;
  unchanged: number;
  stale: number;
  superseded: number;
  invalid: number;
}

interface Delivery extends QueuedMessage {
  readonly messageId: string;
  readonly page: ItemPage;
  readonly bad: BadItem[];
  readonly receivedAt: string;
  /** Set when the leader could not be asked about all of its items. */
  failed: boolean;
}
interface Origin {
  readonly delivery: Delivery;
  readonly index: number;
}

const postWithinMs = 10_000; // A batch of 1,000 takes tens of milliseconds; longer, and its leader is frozen.
const postsAtOnce = 2; // One is read and written here while the other is in the database.
const publishesAtOnce = 50;
const publishAgainAfterMs = 500; // By then a connection that broke is known to be gone, and a new one is opened.

/** @param deadline performance.now() milliseconds; publishing what is left over comes after it. */
export async function deliver(
  ports: DeliverPorts,
  event: unknown,
  { deadline }: { deadline: number },
): Promise<DeliverCounts> {
  const counts: DeliverCounts = {
    messages: 0,
    deadLettered: 0,
    retried: 0,
    items: 0,
    applied: 0,
    unchanged: 0,
    stale: 0,
    superseded: 0,
    invalid: 0,
  };
  const publications: (() => Promise<void>)[] = [];
  const deliveries: Delivery[] = [];
  const candidates: Candidate<Origin>[] = [];
  const receivedAt = new Date().toISOString();

  for (const { queue, message } of messagesOf(event)) {
    const messageId = messageIdOf(message);
    counts.messages += 1;
    const judged = judgePage(message);
    if (judged.kind === 'poison') {
      counts.deadLettered += 1;
      publications.push(() => deadLetter(ports, { queue, message, messageId, ...judged }));
      continue;
    }
    const { page, good } = judged;
    const delivery: Delivery = {
      queue,
      message,
      messageId,
      page,
      bad: [...judged.bad],
      receivedAt,
      failed: false,
    };
    counts.items += page.items.length;
    deliveries.push(delivery);
    const traceparent = childTraceparent(page.traceparent);
    for (const { index, item } of good)
      candidates.push({ origin: { delivery, index }, messageId, traceparent, item });
  }

  const { newest, reused, superseded } = selectNewest(candidates);
  counts.superseded = superseded;
  for (const { origin } of reused)
    origin.delivery.bad.push({
      index: origin.index,
      code: 'VERSION_REUSED',
      reason: 'the same batch holds this version of the item with other content',
    });
  // No two items have the same key, so it does not matter which request comes first.
  await inParallel(splitIntoBatches(newest), postsAtOnce, (batch) =>
    postBatch(ports, batch, { deadline, counts }),
  );

  for (const delivery of deliveries)
    if (delivery.failed) {
      counts.retried += 1;
      publications.push(() => publishRetry(ports, delivery));
    } else {
      counts.invalid += delivery.bad.length;
      // Only now: a message that comes again would bury its bad items again.
      for (const item of delivery.bad) publications.push(() => buryItem(ports, delivery, item));
    }
  await inParallel(publications, publishesAtOnce, (publish) => publishTwice(ports, publish));
  return counts;
}

/** Were the batch to fail for one late confirm, Lambda would bring all of it again, beside what was confirmed. */
async function publishTwice({ logger }: DeliverPorts, publish: () => Promise<void>): Promise<void> {
  try {
    await publish();
  } catch (error) {
    logger.warn(`a publish is done again: ${describeError(error)}`);
    await pause(publishAgainAfterMs);
    await publish();
  }
}

async function postBatch(
  { leader, logger }: DeliverPorts,
  batch: readonly Candidate<Origin>[],
  { deadline, counts }: { deadline: number; counts: DeliverCounts },
): Promise<void> {
  try {
    const { json } = await leader.call(
      {
        method: 'POST',
        path: routes.batches,
        json: { items: batch.map(toEntry), messages: tracedMessages(batch) } satisfies BatchRequest,
        timeoutMs: postWithinMs,
        ...(batch[0] === undefined ? {} : { traceparent: batch[0].traceparent }),
      },
      { deadline },
    );
    const { results } = batchAnswerSchema
      .extend({ results: batchAnswerSchema.shape.results.length(batch.length) })
      .parse(json);
    for (const [position, verdict] of results.entries()) note(batch[position], verdict, counts);
  } catch (error) {
    const reason = describeError(error);
    logger.warn(`${batch.length} item(s) wait for another try: ${reason}`);
    if (isForAPerson(error))
      logger.emit({
        type: 'problem',
        code: codeOf(error),
        detail: `the leader refused a batch of ${batch.length} item(s): ${reason}`.slice(0, 1_000),
      });
    for (const { origin } of batch) origin.delivery.failed = true;
  }
}

/** Each message once, in the words of a trace. */
function tracedMessages(batch: readonly Candidate<Origin>[]): BatchRequest['messages'] {
  const firsts = new Map(batch.map((candidate) => [candidate.origin.delivery, candidate]));
  return [...firsts].map(([{ message, page, receivedAt }, { messageId, traceparent }]) => ({
    messageId,
    traceparent,
    publishedTraceparent: page.traceparent,
    url: page.url.slice(0, tracedUrlLengthMax),
    fetchedAt: page.fetchedAt,
    publishedAt: publishedAtOf(message),
    attempt: attemptOf(message),
    receivedAt,
  }));
}

function note(candidate: Candidate<Origin> | undefined, verdict: ItemVerdict, counts: DeliverCounts): void {
  if (verdict.kind !== 'invalid') counts[verdict.kind] += 1;
  else
    candidate?.origin.delivery.bad.push({
      index: candidate.origin.index,
      code: verdict.code,
      reason: verdict.reason,
    });
}

/** The item alone on a page of its own, so that it can be corrected and sent again as it is. */
async function buryItem(ports: DeliverPorts, delivery: Delivery, bad: BadItem): Promise<void> {
  const { message, page, queue } = delivery;
  const body = Buffer.from(JSON.stringify({ ...page, items: [page.items[bad.index]] }));
  const messageId = `${delivery.messageId}/${bad.index}`;
  await deadLetter(ports, {
    queue,
    messageId,
    message: {
      ...message,
      basicProperties: { ...message.basicProperties, messageId, bodySize: body.length },
      data: body.toString('base64'),
    },
    routingKey: routingKeys.items(page.source),
    code: bad.code,
    reason: bad.reason,
  });
}
