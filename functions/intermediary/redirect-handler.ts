// Lambda handler behind a load balancer or a function URL: 307 to the leader, 503 while there is none.
import { readEnvironment } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { openLeaderDirectory } from '../leader-directory.ts';
import { createRedirect, type HttpAnswer } from './redirect.ts';

const environment = readEnvironment('redirect', process.env);
const redirect = createRedirect({
  directory: openLeaderDirectory({
    table: environment.BATON_DIRECTORY_TABLE,
    region: environment.AWS_REGION,
  }),
  cluster: environment.BATON_CLUSTER,
  logger: createLogger({ process: 'redirect' }),
  now: Date.now,
});

export const handler = (event: unknown): Promise<HttpAnswer> => redirect(event);
