// Looks at what waits outside this node, so that /health can say it: a broker that does not answer, a queue above the
// depth at which scrapers pause, mails that their server defers. Each look is bounded, and one at a time is under way.
import { itemQueueNames } from '../../contracts/item-partitions.ts';
import { scraperPausesAtDepth } from '../../contracts/topology.ts';
import { oneAtATime } from '../../runtime/one-at-a-time.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import type { Metrics } from './metrics.ts';
import type { Problems } from './problems.ts';
import type { Store } from '../store.ts';

const lookEveryMs = 5_000;
const depthWithinMs = 2_000;

export function watchWork({
  broker,
  store,
  problems,
  metrics,
  itemPartitions = 1,
}: {
  broker: Pick<BrokerClient, 'depth'>;
  store: Pick<Store, 'deferredMails'>;
  problems: Problems;
  metrics: Pick<Metrics, 'mailsDeferred'>;
  itemPartitions?: number;
}) {
  const look = oneAtATime(async () => {
    await Promise.all([lookAtBroker(), lookAtMails()]);
  });
  async function lookAtBroker(): Promise<void> {
    const depth = await Promise.all(
      itemQueueNames(itemPartitions).map((name) => broker.depth(name, { timeoutMs: depthWithinMs })),
    ).then(
      (depths) => depths.reduce((sum, one) => sum + one, 0),
      () => undefined,
    );
    problems.say(
      'broker',
      depth === undefined
        ? 'RabbitMQ does not answer: what is scraped waits with its scraper, mails wait in the outbox'
        : null,
    );
    if (depth === undefined) return;
    problems.say(
      'backlog',
      depth > scraperPausesAtDepth
        ? `${depth} messages wait in items: scrapers pause above ${scraperPausesAtDepth}`
        : null,
    );
  }
  async function lookAtMails(): Promise<void> {
    // That the database does not answer is said by whoever watches it.
    const deferred = await store.deferredMails().catch(() => undefined);
    if (deferred === undefined) return;
    metrics.mailsDeferred(deferred);
    problems.say(
      'mails',
      deferred > 0
        ? `the mail server did not take ${deferred} mail${deferred === 1 ? '' : 's'}: tried again, less and less often, for 24 hours`
        : null,
    );
  }
  void look();
  const timer = setInterval(() => void look(), lookEveryMs);
  return { name: 'work watch', close: (): void => clearInterval(timer) };
}
