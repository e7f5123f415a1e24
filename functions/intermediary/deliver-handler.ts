// Lambda handler of the queue `items`: what is valid and new goes to the leader by POST. Returning is the
// acknowledgement, so it happens after the leader's answer or a confirmed publish, never before.
import { readEnvironment } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { createSecrets } from '../../runtime/secrets.ts';
import { remainingMs, type LambdaContext } from '../lambda-context.ts';
import { lazyBroker } from '../lazy-broker.ts';
import { LeaderClient } from '../leader-client.ts';
import { reportingEvents } from '../report-events.ts';
import { deliver, type DeliverCounts } from './deliver.ts';

const environment = readEnvironment('deliver', process.env);
const secrets = createSecrets();
const logger = createLogger({ process: 'deliver' });
const leader = new LeaderClient(environment, secrets);

const budgetMsDefault = 30_000; // Where the caller states no remaining time.
const marginMsMax = 25_000; // For publishing what the leader could not take, twice where a confirm is late, and the answer.

export const handler = async (event: unknown, context: LambdaContext): Promise<DeliverCounts> => {
  const timeMs = remainingMs(context, { elseMs: budgetMsDefault });
  const deadline = performance.now() + timeMs - Math.min(marginMsMax, timeMs / 2);
  const broker = lazyBroker(environment, { secrets, logger, name: 'deliver' });
  try {
    const counts = await reportingEvents({ leader, logger }, () =>
      deliver({ leader, logger, broker: broker.open }, event, { deadline }),
    );
    logger.info('delivered', { ...counts });
    return counts;
  } finally {
    await broker.close();
  }
};
