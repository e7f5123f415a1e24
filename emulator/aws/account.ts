// A stage on AWS as the caller's own credentials and region see it. Every call has a bound, and what goes wrong becomes
// one line: what, where, and what to do. Never takes credentials from elsewhere than the SDK finds them.
import { readAwsStage } from '../../cdk/cdk-json.ts';
import { Names } from '../../cdk/names.ts';
import type { AwsStage } from '../../cdk/stage.ts';
import { CommandError } from '../commands/exit-codes.ts';

export interface Account {
  readonly stage: AwsStage;
  readonly names: Names;
}

/** Settings of every client here: a call is tried three times at most, within `answerWithinMs` together. */
export const clientSettings = { maxAttempts: 3 };
const answerWithinMs = 10_000;

/** @throws CommandError naming the stages there are, or what is wrong in cdk.json. */
export function openAccount(stageName: string): Account {
  try {
    const stage = readAwsStage(stageName);
    return { stage, names: new Names(stage) };
  } catch (error) {
    throw new CommandError('usage', (error as Error).message);
  }
}

/** @throws CommandError unless the stage may be broken on purpose. */
export function requireFaultsAllowed({ stage }: Account): void {
  if (stage.faultsAllowed) return;
  throw new CommandError(
    'failed',
    `the stage ${stage.name} allows no faults: nothing was done. Only a stage with "faultsAllowed": true in cdk.json is broken on purpose`,
  );
}

/** `action`: as IAM names it; `on`: the resource. @throws Error in one line. */
export async function callAws<T>(
  { action, on }: { action: string; on: string },
  send: (options: { abortSignal: AbortSignal }) => Promise<T>,
  { withinMs = answerWithinMs } = {},
): Promise<T> {
  const abortSignal = AbortSignal.timeout(withinMs);
  // Looking for credentials does not heed the signal.
  const late = new Promise<never>((_resolve, reject) => {
    abortSignal.addEventListener('abort', () => reject(abortSignal.reason as Error), { once: true });
  });
  try {
    return await Promise.race([send({ abortSignal }), late]);
  } catch (cause) {
    throw explain(cause as Error, { action, on, withinMs });
  }
}

const credentialsRefused = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignature',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'RequestExpired',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
]);

function explain(
  cause: Error,
  { action, on, withinMs }: { action: string; on: string; withinMs: number },
): Error {
  const { name, message } = cause;
  const service = action.split(':')[0];
  if (name === 'CredentialsProviderError')
    return new Error('there are no credentials for AWS: sign in (`aws sso login`), or set AWS_PROFILE', {
      cause,
    });
  if (message === 'Region is missing')
    return new Error('there is no region: set AWS_REGION to that of the stage, or AWS_PROFILE');
  if (credentialsRefused.has(name))
    return new Error('AWS does not take these credentials: sign in again, or set AWS_PROFILE', { cause });
  if (name.startsWith('AccessDenied'))
    return new Error(
      `these credentials may not ${action} on ${on}: docs/aws.md, "The same tool", lists what is needed`,
      { cause },
    );
  const isLate = name === 'AbortError' || name === 'TimeoutError';
  // What the network says has a code, what AWS says has none.
  if (isLate || 'code' in cause)
    return new Error(
      `${service} ${isLate ? `does not answer within ${withinMs / 1_000} s` : 'cannot be reached'} (${action} on ${on}): is the network there, and is AWS_REGION right?`,
      { cause },
    );
  return Object.assign(new Error(`${action} on ${on} failed`, { cause }), { name });
}
