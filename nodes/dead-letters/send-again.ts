// The leader's job that publishes the dead letters which an operator wants sent again: an outbox. Confirmed first and noted
// after, so a crash between the two publishes the same message again, under the same id: versions, claims and the ledger
// make that harmless.
import * as z from 'zod';
import { itemPartitionOf } from '../../contracts/item-partitions.ts';
import { exchanges, messageHeaders, ownHeaders, queues, routingKeys } from '../../contracts/topology.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { contracts } from './judge-body.ts';
import type { DeadLetterStore, LetterToSend } from './store.ts';

const stepsPerRound = 10;
const stepLimits = { lettersMax: 100, bytesMax: 2 * 1024 * 1024 };

export async function sendAgain(
  term: number,
  store: Pick<DeadLetterStore, 'deadLettersToSend' | 'deadLettersSent'>,
  broker: Pick<BrokerClient, 'publish'>,
  itemPartitions = 1,
): Promise<void> {
  for (let step = 0; step < stepsPerRound; step++) {
    const letters = await store.deadLettersToSend(term, stepLimits);
    if (letters.length === 0) return;
    const outcomes = await Promise.allSettled(
      letters.map((letter) =>
        broker.publish({ ...messageOf(letter), routingKey: routeOf(letter, itemPartitions) }),
      ),
    );
    const sent = letters.filter((_letter, index) => outcomes[index]?.status === 'fulfilled');
    await store.deadLettersSent(
      term,
      sent.map(({ id }) => id),
    );
    // What the broker did not take stays, and is tried again in the next round.
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }
}

function messageOf({ id, queue, messageId, headers, body, retries }: LetterToSend) {
  return {
    exchange: exchanges.main.name,
    // Whatever it had: somebody wants it handled as a message of this queue, and an edit corrects bodies alone.
    type: contracts[queue]?.type,
    // RabbitMQ's own dead letters may have none, and a message is told from others by it.
    messageId: messageId === '' ? `dead-letter/${id}` : messageId,
    body,
    headers: {
      ...headersToSend(headers),
      [messageHeaders.retries]: retries,
      [messageHeaders.deadLetterId]: id,
    },
  };
}

const pageSchema = z.object({
  source: z.string(),
  items: z.tuple([z.object({ sku: z.string() })], z.unknown()),
});

/** An item's partition is found anew: its key may have been corrected, and the number of partitions changed, since it died. */
function routeOf({ routingKey, body }: LetterToSend, itemPartitions: number): string {
  if (itemPartitions === 1 || !routingKey.startsWith(`${queues.items.name}.`)) return routingKey;
  const page = pageSchema.safeParse(parseJson(body.toString('utf8')));
  if (!page.success) return routingKey;
  const { source, items } = page.data;
  return routingKeys.items(source, itemPartitionOf({ source, sku: items[0].sku.trim() }, itemPartitions));
}

/** What says how it fared before: it starts anew. */
const ofItsPast = new Set<string>([
  messageHeaders.attempt,
  messageHeaders.firstTriedAt,
  messageHeaders.deadCode,
  messageHeaders.deadReason,
  messageHeaders.originalQueue,
  messageHeaders.originalRoutingKey,
]);

function headersToSend(headers: Readonly<Record<string, unknown>>): Record<string, string | number> {
  return Object.fromEntries(Object.entries(ownHeaders(headers)).filter(([name]) => !ofItsPast.has(name)));
}
