// One batch of the queue `mail`, a few mails at a time: each is claimed at the leader right before its own SMTP dialogue and its outcome
// is reported right after, so that a redelivery sends nothing twice where the outcome is known. Throws only when a
// message could be neither handled nor published again, and never after a claim.
import {
  mailClaimAnswerSchema,
  routes,
  type MailClaimAnswer,
  mailResultAnswerSchema,
  type MailResult,
  type MailResultAnswer,
} from '../../contracts/node-api.ts';
import { isMailAddress, senderAddress } from '../../contracts/mail-address.ts';
import {
  mailMessageSchema,
  mailMessageType,
  mailMessageVersion,
  mailTimes,
  type MailMessage,
} from '../../contracts/mail-message.ts';
import { messagesOf, type QueuedMessage } from '../../contracts/rabbitmq-event.ts';
import { queues, routingKeys } from '../../contracts/topology.ts';
import { codeOf, describeError } from '../../runtime/failure.ts';
import { inParallel } from '../../runtime/in-parallel.ts';
import { childTraceparent } from '../../runtime/trace.ts';
import { deadLetter, publishRetry, type PublishPorts } from '../dead-letter.ts';
import { isForAPerson } from '../is-for-a-person.ts';
import type { LeaderClient } from '../leader-client.ts';
import { readMessage } from '../read-message.ts';
import type { Envelope, SmtpOutcome } from './smtp.ts';

export interface MailPorts extends PublishPorts {
  readonly leader: Pick<LeaderClient, 'call'>;
  /** Ends within the times of a dialogue and of its answer. */
  readonly send: (mail: { envelope: Envelope; bytes: Buffer }) => Promise<SmtpOutcome>;
}
export interface MailCounts {
  sent: number;
  /** The leader tries again later. */
  retry: number;
  rejected: number;
  unknown: number;
  /** Not due any more. */
  skipped: number;
  /** Published to mail.retry, unclaimed. */
  waiting: number;
  deadLettered: number;
}

const callWithinMs = 3_000;
const claimWithinMs = 10_000;
const messageBytesMax = 16 * 1024;
const mailsAtOnce = 5; // A server that takes its time over one mail holds up the others less, and few servers mind so many.

/** @param deadline performance.now() milliseconds; publishing what is left over comes after it. */
export async function sendMails(
  ports: MailPorts,
  event: unknown,
  { owner, deadline }: { owner: string; deadline: number },
): Promise<MailCounts> {
  const counts: MailCounts = {
    sent: 0,
    retry: 0,
    rejected: 0,
    unknown: 0,
    skipped: 0,
    waiting: 0,
    deadLettered: 0,
  };
  const failures: unknown[] = [];
  await inParallel(messagesOf(event), mailsAtOnce, async (arrived) => {
    try {
      counts[await handleMessage(ports, arrived, { owner, deadline })] += 1;
    } catch (error) {
      failures.push(error); // Thrown when no dialogue is under way any more: Lambda freezes a process that has answered.
    }
  });
  if (failures.length > 0) throw failures[0];
  return counts;
}

async function handleMessage(
  ports: MailPorts,
  { queue, message }: QueuedMessage,
  { owner, deadline }: { owner: string; deadline: number },
): Promise<keyof MailCounts> {
  const { logger } = ports;
  const read = readMessage<MailMessage>(message, {
    schema: mailMessageSchema,
    type: mailMessageType,
    version: mailMessageVersion,
    bytesMax: messageBytesMax,
  });
  if (read.kind === 'poison') {
    await deadLetter(ports, { queue, message, ...read, routingKey: routingKeys.mail });
    return 'deadLettered';
  }
  const work = { ...read.value, owner, traceparent: childTraceparent(read.value.traceparent) };
  const claim = await claimMail(ports, work, deadline);
  if (claim.kind === 'skip') {
    logger.info(`mail ${work.mailId} attempt ${work.attempt} is not sent: ${claim.reason}`);
    return 'skipped';
  }
  if (claim.kind === 'not-claimed') {
    logger.warn(
      `mail ${work.mailId} attempt ${work.attempt} waits in ${queues.mailRetry.name}: ${claim.reason}`,
    );
    await publishRetry(ports, { queue, message });
    return 'waiting';
  }
  const outcome = await sendClaimed(ports, claim);
  await report(ports, work, outcome);
  return outcome.outcome;
}

interface Work extends MailMessage {
  readonly owner: string;
}
type Claim = MailClaimAnswer | { kind: 'not-claimed'; reason: string };

async function claimMail({ leader, logger }: MailPorts, work: Work, deadline: number): Promise<Claim> {
  // A mail that might not be finished in time is not begun.
  const latest = deadline - mailTimes.dialogueMs - mailTimes.answerMs - mailTimes.reportMs;
  if (performance.now() > latest) return { kind: 'not-claimed', reason: 'this invocation has no time left' };
  try {
    const { json } = await leader.call(
      {
        method: 'POST',
        path: routes.mailClaim(work.mailId),
        json: { attempt: work.attempt, owner: work.owner },
        timeoutMs: callWithinMs,
        traceparent: work.traceparent,
      },
      { deadline: Math.min(latest, performance.now() + claimWithinMs) },
    );
    return mailClaimAnswerSchema.parse(json);
  } catch (error) {
    // Erased since: nobody waits for it.
    if (codeOf(error) === 'NOT_FOUND') return { kind: 'skip', reason: 'the leader knows no such mail' };
    const reason = describeError(error);
    if (isForAPerson(error))
      logger.emit({
        type: 'problem',
        code: codeOf(error),
        detail: `the claim of mail ${work.mailId} was refused: ${reason}`.slice(0, 1_000),
      });
    return { kind: 'not-claimed', reason };
  }
}

async function sendClaimed(
  { send }: MailPorts,
  { from, to, bytes }: Extract<MailClaimAnswer, { kind: 'send' }>,
): Promise<SmtpOutcome> {
  if (!isMailAddress(to))
    return { outcome: 'rejected', detail: 'the recipient is no address that mail is sent to' };
  const sender = senderAddress(from);
  // No reason to suppress the recipient: the sender is a setting of ours.
  if (sender === undefined)
    return { outcome: 'retry', detail: 'the sender is no mail address: correct BATON_MAIL_FROM' };
  try {
    return await send({ envelope: { from: sender, to }, bytes: Buffer.from(bytes, 'base64') });
  } catch (error) {
    // A dialogue always ends in an outcome, so this one never began: its credentials could not be read.
    return { outcome: 'retry', detail: describeError(error).slice(0, 1_000) };
  }
}

/** What an outcome leads to when the leader could not be told. */
const stateAfter = {
  sent: 'sent',
  retry: 'queued',
  rejected: 'failed',
  unknown: 'unknown',
} as const satisfies Record<SmtpOutcome['outcome'], string>;

/** Not delivered, the claim's lease ends by itself and the leader counts the outcome as unknown. */
async function report(
  { leader, logger }: MailPorts,
  work: Work,
  { outcome, detail }: SmtpOutcome,
): Promise<void> {
  const { mailId, attempt, owner, traceparent } = work;
  let state: MailResultAnswer['state'] = stateAfter[outcome];
  try {
    const { json } = await leader.call(
      {
        method: 'PUT',
        path: routes.mailResult(mailId),
        json: { attempt, owner, outcome, detail } satisfies MailResult,
        timeoutMs: callWithinMs,
        traceparent,
      },
      { deadline: performance.now() + mailTimes.reportMs },
    );
    ({ state } = mailResultAnswerSchema.parse(json));
  } catch (error) {
    logger.error(
      `mail ${mailId} attempt ${attempt} was ${outcome}, which the leader could not be told: ${describeError(error)}`,
    );
  }
  logger.emit({ type: 'mail.changed', mailId, state, attempt, detail });
}
