// Lambda handler: custom resource of the data stack, and once a day by a schedule. Fills and renews the secrets that
// no person has to give, and tells CloudWatch how long each certificate is still good (embedded metric format).
// The only reader of the authority's key.
import { rootCertificates } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import type { Trust } from '../../../contracts/secrets.ts';
import { readEnvironment } from '../../../runtime/config.ts';
import { describeError } from '../../../runtime/failure.ts';
import { doForWhoeverCalls } from '../cloudformation.ts';
import { daysLeftLines } from './days-left.ts';
import { fillSecrets, type SecretStore } from './fill-secrets.ts';

const environment = readEnvironment('secret-keeper', process.env);
const client = new SecretsManagerClient({ maxAttempts: 3 });
const answerWithinMs = 5_000;
const trustBytesMax = 40_000; // A secret may have 64 KB.

export const handler = async (
  event: unknown,
  context: { getRemainingTimeInMillis(): number },
): Promise<void> => {
  await doForWhoeverCalls(event, context, fill);
};

async function fill(): Promise<void> {
  const now = Date.now();
  const { written, daysLeft } = await fillSecrets({
    store,
    cluster: environment.BATON_CLUSTER,
    certificates: environment.BATON_CERTIFICATES,
    fetchTrust,
    warn: (message, cause) => {
      log({ process: 'secret-keeper', level: 'warn', msg: `${message}: ${describeError(cause)}` });
    },
    now,
  });
  log({ process: 'secret-keeper', written });
  const namespace = environment.BATON_METRIC_NAMESPACE;
  for (const line of daysLeftLines(daysLeft, { namespace, now })) log(line);
}

const store: SecretStore = {
  async read(name) {
    try {
      const { SecretString } = await client.send(
        new GetSecretValueCommand({ SecretId: `${environment.BATON_SECRET_PREFIX}${name}` }),
        { abortSignal: AbortSignal.timeout(answerWithinMs) },
      );
      return SecretString;
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return undefined;
      throw new Error(`secret ${name} cannot be read`, { cause: error });
    }
  },
  async write(name, text) {
    await client.send(
      new PutSecretValueCommand({
        SecretId: `${environment.BATON_SECRET_PREFIX}${name}`,
        SecretString: text,
      }),
      { abortSignal: AbortSignal.timeout(answerWithinMs) },
    );
  },
};

/** RDS has authorities of its own: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html */
async function fetchTrust(): Promise<Trust> {
  const region = environment.AWS_REGION;
  const response = await fetch(`https://truststore.pki.rds.amazonaws.com/${region}/${region}-bundle.pem`, {
    signal: AbortSignal.timeout(answerWithinMs),
  });
  const database = await response.text();
  if (!response.ok || database.length > trustBytesMax || !database.startsWith('-----BEGIN CERTIFICATE-----'))
    throw new Error(`the authorities of RDS in ${region} cannot be fetched: ${response.status}`);
  const broker = rootCertificates.filter((pem) =>
    /^CN=Amazon Root CA/m.test(new X509Certificate(pem).subject),
  );
  return { database, broker: `${broker.join('\n')}\n` };
}

/** Not console.log: Lambda writes time and request in front of its lines, and then they are no metric. */
function log(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
