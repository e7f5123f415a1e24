// Lambda handler of the SQS FIFO queue of announcements: keeps the leader directory. Never throws, whatever arrives,
// since a failed batch blocks the announcements behind it.
import { readEnvironment } from '../../runtime/config.ts';
import { describeError } from '../../runtime/failure.ts';
import { createLogger } from '../../runtime/logger.ts';
import { remainingMs, type LambdaContext } from '../lambda-context.ts';
import { openLeaderDirectory } from '../leader-directory.ts';
import { announce } from './announce.ts';

const environment = readEnvironment('announce', process.env);
const logger = createLogger({ process: 'announce' });
const directory = openLeaderDirectory({
  table: environment.BATON_DIRECTORY_TABLE,
  region: environment.AWS_REGION,
});

const budgetMsDefault = 10_000; // Where the caller states no remaining time.
const marginMs = 3_000; // One more try of the directory, and the answer.

export const handler = async (
  event: unknown,
  context: LambdaContext,
): Promise<{ batchItemFailures: readonly { itemIdentifier: string }[] }> => {
  const deadline = performance.now() + remainingMs(context, { elseMs: budgetMsDefault }) - marginMs;
  try {
    const { kind } = await announce({ directory, logger, now: Date.now }, event, {
      cluster: environment.BATON_CLUSTER,
      deadline,
    });
    logger.debug(`announcement: ${kind}`);
  } catch (error) {
    logger.error(`announcement: ${describeError(error)}`);
  }
  return { batchItemFailures: [] };
};
