// Custom resource of the broker stack: declares what contracts/topology.ts says at every deploy that changes it, and when a
// person calls it, say after a new password. Deletes nothing, ever.
import { credentialsSchema } from '../../contracts/secrets.ts';
import { brokerUsers, type BrokerUser } from '../../contracts/topology.ts';
import { readEnvironment } from '../../runtime/config.ts';
import { createSecrets } from '../../runtime/secrets.ts';
import { doForWhoeverCalls } from '../cloudformation.ts';
import { declareTopology, type CallManagement } from './declare-topology.ts';

const environment = readEnvironment('broker-topology', process.env);
const secrets = createSecrets();
const answerWithinMs = 10_000;

export const handler = async (
  event: unknown,
  context: { getRemainingTimeInMillis(): number },
): Promise<void> => {
  await doForWhoeverCalls(event, context, declare);
};

async function declare(): Promise<void> {
  const admin = await secrets.json(environment.BATON_BROKER_ADMIN_URI, credentialsSchema);
  const entries = await Promise.all(
    brokerUsers.map(
      async (name) =>
        [
          name,
          await secrets.json(
            `secretsmanager:${environment.BATON_BROKER_USERS_PREFIX}${name}`,
            credentialsSchema,
          ),
        ] as const,
    ),
  );
  await declareTopology(
    managementApi(environment.BATON_MANAGEMENT_URL, admin),
    Object.fromEntries(entries) as Record<BrokerUser, { username: string; password: string }>,
    environment.BATON_ITEM_PARTITIONS,
  );
}

function managementApi(url: string, admin: { username: string; password: string }): CallManagement {
  const authorization = `Basic ${Buffer.from(`${admin.username}:${admin.password}`).toString('base64')}`;
  return async (method, path, json) => {
    const response = await fetch(new URL(path, url), {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      body: json === undefined ? null : JSON.stringify(json),
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? undefined : JSON.parse(text) };
  };
}
