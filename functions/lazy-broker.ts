// A connection to RabbitMQ for one invocation, opened when the first message has to be published: most invocations
// publish none. Never kept for the next one: Lambda freezes a process between two, and a frozen connection is dead.
import type { Environment } from '../contracts/environment.ts';
import { describeError } from '../runtime/failure.ts';
import type { Logger } from '../runtime/logger.ts';
import { connectBroker, type BrokerClient } from '../runtime/rabbitmq.ts';
import { credentialsSchema } from '../contracts/secrets.ts';
import { type Secrets } from '../runtime/secrets.ts';

export type BrokerEnvironment = Pick<
  Environment<'deliver'>,
  'BATON_BROKER_URL' | 'BATON_BROKER_CREDENTIALS_URI' | 'BATON_BROKER_CA_URI' | 'BATON_TLS_CA_URI'
>;

export interface LazyBroker {
  readonly open: () => Promise<BrokerClient>;
  readonly close: () => Promise<void>;
}

export function lazyBroker(
  environment: BrokerEnvironment,
  { secrets, logger, name }: { secrets: Secrets; logger: Logger; name: string },
): LazyBroker {
  let opening: Promise<BrokerClient> | undefined;
  return {
    // The promise is kept, not the client: callers that come while it opens share it.
    open: () =>
      (opening ??= secrets.text(environment.BATON_BROKER_CA_URI ?? environment.BATON_TLS_CA_URI).then((ca) =>
        connectBroker({
          url: environment.BATON_BROKER_URL,
          credentials: () => secrets.json(environment.BATON_BROKER_CREDENTIALS_URI, credentialsSchema),
          ca,
          name,
        }),
      )),
    async close() {
      try {
        await (await opening)?.close();
      } catch (error) {
        logger.warn(`closing the broker failed: ${describeError(error)}`);
      }
    },
  };
}
