// The leader's job that moves dead letters from their queues into the database, where people can list, edit and send them
// again in any order. Stored before it is acknowledged, and once however often it is taken.
import { messageHeaders, queues } from '../../contracts/topology.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import type { BrokerClient, TakenMessage } from '../../runtime/rabbitmq.ts';
import { isRefusedAsData } from '../database/pool.ts';
import { readLetter } from './read-letter.ts';
import type { DeadLetterStore } from './store.ts';

/** Names of the dead-letter queues, by the queue they belong to. */
export const deadQueues: ReadonlyMap<string, string> = new Map([
  [queues.items.name, queues.itemsDead.name],
  [queues.files.name, queues.filesDead.name],
  [queues.mail.name, queues.mailDead.name],
]);

const takesPerRound = 5;
const takeLimits = { messagesMax: 200, bytesMax: 2 * 1024 * 1024 };
/** Letters that wait for a decision; above it the rest stays in RabbitMQ, whose queues have a length of their own. */
const openMax = 200_000;
/**
 * What could not be stored goes back, and RabbitMQ drops a message that comes back more often than the delivery limit of
 * its queue: at ten minutes each, a thousand tries take a week.
 */
export const collectBackOffMsMax = 600_000;

export async function collectDeadLetters(
  term: number,
  store: Pick<DeadLetterStore, 'keepDeadLetters' | 'openDeadLetters'>,
  broker: Pick<BrokerClient, 'take'>,
): Promise<void> {
  // Asked first: a database that is away is given no letters to give back.
  const open = Object.values(await store.openDeadLetters()).reduce((sum, letters) => sum + letters, 0);
  if (open >= openMax)
    throw new Failure(
      'BUSY',
      `${open} dead letters wait for a decision (baton dlq list): the rest stays in its queues`,
    );
  const failed: unknown[] = [];
  for (const [queue, deadQueue] of deadQueues) {
    const at = new Date();
    const keep = (messages: readonly TakenMessage[]): Promise<void> =>
      keepAll(messages, (some) =>
        store.keepDeadLetters(
          term,
          some.map((message) => readLetter(queue, message, at)),
        ),
      );
    try {
      for (let take = 0; take < takesPerRound; take++)
        if ((await broker.take(deadQueue, takeLimits, keep)) === 0) break;
    } catch (error) {
      failed.push(error); // What lies in the other queues does not wait for what lies in this one.
    }
  }
  if (failed.length > 0) throw failed[0];
}

/** A letter that the database refuses as data would keep the others back with it: it is found by halves, and kept as its body alone. */
async function keepAll(
  messages: readonly TakenMessage[],
  keep: (some: readonly TakenMessage[]) => Promise<void>,
): Promise<void> {
  try {
    await keep(messages);
  } catch (error) {
    if (!isRefusedAsData(error)) throw error;
    const [first, ...others] = messages;
    if (first === undefined) throw error;
    if (others.length === 0) return await keep([bodyOf(first, error)]);
    const half = Math.ceil(messages.length / 2);
    await keepAll(messages.slice(0, half), keep);
    await keepAll(messages.slice(half), keep);
  }
}

function bodyOf({ body }: TakenMessage, refusal: unknown): TakenMessage {
  const reason = `the database refuses what stands around its body: ${describeError(refusal)}`;
  return {
    body,
    headers: { [messageHeaders.deadReason]: reason },
    messageId: undefined,
    type: undefined,
    timestamp: undefined,
  };
}
