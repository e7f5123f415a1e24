// Custom resource of the broker stack: declares what contracts/topology.ts says at every deploy that changes it, and when a
// person calls it, say after a new password. Deletes nothing, ever.
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { credentialsSchema, type Credentials } from '../../../contracts/secrets.ts';
import { brokerUsers, type BrokerUser } from '../../../contracts/topology.ts';
import { readEnvironment } from '../../../runtime/config.ts';
import { createSecrets } from '../../../runtime/secrets.ts';
import { doForWhoeverCalls } from '../cloudformation.ts';
import { declareTopology, openManagement, type CallManagement } from './declare-topology.ts';

const environment = readEnvironment('broker-topology', process.env);
const secretsManager = new SecretsManagerClient({ maxAttempts: 3 });
const answerWithinMs = 10_000;
const secretWithinMs = 3_000;

export const handler = async (
  event: unknown,
  context: { getRemainingTimeInMillis(): number },
): Promise<void> => {
  await doForWhoeverCalls(event, context, declare);
};

async function declare(): Promise<void> {
  // Anew: whoever calls twice within a minute has just put another password there.
  const [secrets, before] = [createSecrets(), createSecrets(undefined, previousSecret)];
  const call = await openManagement((admin) => managementApi(environment.BATON_MANAGEMENT_URL, admin), {
    current: await secrets.json(environment.BATON_BROKER_ADMIN_URI, credentialsSchema),
    previous: () => before.json(environment.BATON_BROKER_ADMIN_URI, credentialsSchema),
  });
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
    call,
    Object.fromEntries(entries) as Record<BrokerUser, Credentials>,
    environment.BATON_ITEM_PARTITIONS,
  );
}

/** What the secret held before its newest value, as Secrets Manager keeps it. */
async function previousSecret(secretId: string): Promise<string> {
  const { SecretString } = await secretsManager.send(
    new GetSecretValueCommand({ SecretId: secretId, VersionStage: 'AWSPREVIOUS' }),
    { abortSignal: AbortSignal.timeout(secretWithinMs) },
  );
  if (SecretString === undefined) throw new Error('it is binary, a text was expected');
  return SecretString;
}

function managementApi(url: string, admin: Credentials): CallManagement {
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
