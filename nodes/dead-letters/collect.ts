// The leader's job that moves dead letters from their queues into the database, where people can list, edit and send them
// again in any order. Stored before it is acknowledged, and once however often it is taken.
import { queues } from '../../contracts/topology.ts';
import { Failure } from '../../runtime/failure.ts';
import type { TakenMessage } from '../../runtime/rabbitmq.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
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
const backOffMsMin = 1_000;
const backOffMsMax = 600_000;

export interface CollectorPorts {
  readonly store: Pick<DeadLetterStore, 'keepDeadLetters' | 'openDeadLetters'>;
  readonly broker: Pick<BrokerClient, 'take'>;
  /** Milliseconds that only rise. */
  readonly now?: () => number;
}

/**
 * What could not be stored goes back, and RabbitMQ drops a message that comes back more often than the delivery limit of
 * its queue. So the database is asked first, and after a failure the next try waits longer and longer: at ten minutes
 * each, a thousand tries take a week.
 */
export function createCollector({ store, broker, now = () => performance.now() }: CollectorPorts) {
  let waitMs = 0;
  let notBefore = 0;

  async function takeAll(term: number): Promise<void> {
    const open = Object.values(await store.openDeadLetters()).reduce((sum, letters) => sum + letters, 0);
    if (open >= openMax)
      throw new Failure(
        'BUSY',
        `${open} dead letters wait for a decision (baton dlq list): the rest stays in its queues`,
      );
    for (const [queue, deadQueue] of deadQueues) {
      const keep = (messages: TakenMessage[]): Promise<void> => {
        const at = new Date();
        return store.keepDeadLetters(
          term,
          messages.map((message) => readLetter(queue, message, at)),
        );
      };
      for (let take = 0; take < takesPerRound; take++)
        if ((await broker.take(deadQueue, takeLimits, keep)) === 0) break;
    }
  }

  return async (term: number): Promise<void> => {
    if (now() < notBefore) return;
    try {
      await takeAll(term);
      waitMs = 0;
    } catch (error) {
      waitMs = Math.min(Math.max(waitMs * 2, backOffMsMin), backOffMsMax);
      notBefore = now() + waitMs;
      throw error;
    }
  };
}
