// Lambda handler with two feeds: SQS ticks every 30 s and the RabbitMQ queue `files`. Keeps no state between
// invocations but connections' settings: what must outlive one is in the leader's database.
import { readEnvironment } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { createSecrets } from '../../runtime/secrets.ts';
import { ftpAddressOf } from '../ftp-address.ts';
import { ownerOf, remainingMs, type LambdaContext } from '../lambda-context.ts';
import { lazyBroker } from '../lazy-broker.ts';
import { LeaderClient } from '../leader-client.ts';
import { FtpClient } from './ftp-client.ts';
import { handleEvent } from './handle-event.ts';

const environment = readEnvironment('ftp-sync', process.env);
const secrets = createSecrets();
const logger = createLogger({ process: 'ftp-sync' });
const leader = new LeaderClient(environment, secrets);

const budgetMsDefault = 60_000; // Where the caller states no remaining time.
const marginMs = 20_000; // For the lease, the retry's publish and the answer.

const address = ftpAddressOf(environment, secrets);

export const handler = async (event: unknown, context: LambdaContext): Promise<void> => {
  const broker = lazyBroker(environment, { secrets, logger, name: 'ftp-sync' });
  const ftp = new FtpClient(address);
  const timeMs = Math.max(1_000, remainingMs(context, { elseMs: budgetMsDefault }) - marginMs);
  const deadline = performance.now() + timeMs;
  // Whatever still talks to the server then is cut off, and the message or tick ends in order.
  const cut = setTimeout(() => ftp.close(), timeMs);
  try {
    await handleEvent({ leader, ftp, logger, broker: broker.open }, event, {
      deadline,
      owner: ownerOf('ftp-sync', context),
    });
  } finally {
    clearTimeout(cut);
    ftp.close();
    await broker.close();
  }
};
