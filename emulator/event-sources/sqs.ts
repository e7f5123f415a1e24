// SQS -> Lambda: polls one queue, invokes the function with a batch, deletes what succeeded. What failed comes back
// when its visibility timeout is over, as on AWS; in a FIFO queue its group waits for it until then.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type Message,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import { backOffMs, pause, type BackOff } from '../../runtime/waiting.ts';
import { accountId } from '../local-aws.ts';
import type { InvokeClient } from './invoke-client.ts';
import type { EventSource } from './rabbitmq.ts';

export interface SqsMapping {
  readonly function: string;
  readonly queueUrl: string;
  /** 1 to 10 */
  readonly batchSize: number;
  readonly functionTimeoutS: number;
  /** How long the queue keeps a message. Not every emulator of SQS drops older ones, so they are dropped here. */
  readonly retentionS: number;
  readonly region: string;
  /** Whether the function may name the messages that failed; without it one failure is the whole batch's. */
  readonly reportBatchItemFailures: boolean;
}

const longPollS = 10;
const pollBackOff: BackOff = { firstMs: 200, msMax: 5_000 };
const answerMarginMs = 40_000;
const closeGraceMs = 2_000;
/** Lambda polls a standard queue with several at once; a FIFO queue keeps its order with one. */
const standardPollers = 2;

const partialSchema = z.object({
  batchItemFailures: z.array(z.object({ itemIdentifier: z.string().min(1) })).nullish(),
});

export function startSqsMapping({
  mapping,
  sqs,
  invoke,
  logger,
}: {
  mapping: SqsMapping;
  sqs: SQSClient;
  invoke: InvokeClient;
  logger: Logger;
}): EventSource {
  const queueName = mapping.queueUrl.split('/').at(-1) ?? mapping.queueUrl;
  const name = `${queueName} -> ${mapping.function}`;
  const counts = { invocations: 0, handled: 0, failures: 0, refused: 0 };
  const stopping = new AbortController();
  const cut = new AbortController();
  const pollers = Array.from({ length: queueName.endsWith('.fifo') ? 1 : standardPollers }, () => poll());

  async function poll(): Promise<void> {
    for (let tries = 0; !stopping.signal.aborted;) {
      try {
        const messages = await dropExpired(await receive());
        const ran = messages.length === 0 || (await handle(messages));
        tries = ran ? 0 : tries + 1;
      } catch (error) {
        // The long poll is cut when the mapping stops.
        if (stopping.signal.aborted) return;
        tries++;
        logger.warn(`${name}: polling failed: ${describeError(error)}`);
      }
      if (tries > 0) await pause(backOffMs(pollBackOff, tries), stopping.signal);
    }
  }

  async function receive(): Promise<Message[]> {
    const answer = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: mapping.queueUrl,
        MaxNumberOfMessages: mapping.batchSize,
        WaitTimeSeconds: longPollS,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      }),
      { abortSignal: stopping.signal },
    );
    return answer.Messages ?? [];
  }

  /** @returns those that AWS would still hand out. */
  async function dropExpired(messages: readonly Message[]): Promise<Message[]> {
    const oldest = Date.now() - mapping.retentionS * 1_000;
    const expired = messages.filter(
      ({ Attributes }) => Number(Attributes?.SentTimestamp ?? Infinity) < oldest,
    );
    if (expired.length > 0) {
      logger.warn(`${name}: ${expired.length} message(s) older than ${mapping.retentionS} s are dropped`);
      await remove(expired);
    }
    return messages.filter((message) => !expired.includes(message));
  }

  /** False when the function could not be called at all. */
  async function handle(messages: readonly Message[]): Promise<boolean> {
    const arn = `arn:aws:sqs:${mapping.region}:${accountId}:${queueName}`;
    const event = { Records: messages.map((message) => sqsRecord(message, { arn, region: mapping.region })) };
    const outcome = await invoke.invoke(mapping.function, JSON.stringify(event), {
      timeoutMs: mapping.functionTimeoutS * 1000 + answerMarginMs,
      signal: cut.signal,
    });
    counts.invocations++;
    if (outcome.kind === 'answered') {
      const succeeded = mapping.reportBatchItemFailures
        ? withoutFailed(messages, outcome.payload)
        : [...messages];
      counts.handled += succeeded.length;
      const failed = messages.length - succeeded.length;
      if (failed > 0) {
        counts.failures++;
        logger.warn(`${name}: ${failed} of ${messages.length} message(s) failed`);
      }
      await remove(succeeded);
      return true;
    }
    counts.failures++;
    logger.warn(`${name}: ${messages.length} message(s) failed: ${outcome.reason}`);
    if (outcome.kind === 'function-error') return true;
    await showAgain(messages);
    return false;
  }

  async function remove(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    const answer = await sqs.send(
      new DeleteMessageBatchCommand({ QueueUrl: mapping.queueUrl, Entries: entries(messages) }),
    );
    for (const failed of answer.Failed ?? [])
      logger.warn(
        `${name}: a handled message was not deleted and comes again: ${failed.Code ?? 'no reason'}`,
      );
  }

  /** The function did not run, so its visibility timeout need not be waited for. */
  async function showAgain(messages: readonly Message[]): Promise<void> {
    await sqs.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: mapping.queueUrl,
        Entries: entries(messages).map((entry) => ({ ...entry, VisibilityTimeout: 0 })),
      }),
    );
  }

  return {
    name,
    counts: () => ({ ...counts }),
    async close() {
      stopping.abort();
      const timer = setTimeout(() => cut.abort(), closeGraceMs);
      await Promise.all(pollers);
      clearTimeout(timer);
    },
  };
}

function entries(messages: readonly Message[]): { Id: string; ReceiptHandle: string | undefined }[] {
  return messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
}

/** What a function's answer leaves as succeeded; an answer that breaks the form fails the whole batch, as on AWS. */
export function withoutFailed(messages: readonly Message[], answer: unknown): Message[] {
  if (answer === null || typeof answer !== 'object') return [...messages];
  const parsed = partialSchema.safeParse(answer);
  if (!parsed.success) return [];
  const failed = new Set((parsed.data.batchItemFailures ?? []).map(({ itemIdentifier }) => itemIdentifier));
  const known = new Set(messages.map(({ MessageId }) => MessageId));
  if ([...failed].some((id) => !known.has(id))) return [];
  return messages.filter(({ MessageId }) => MessageId === undefined || !failed.has(MessageId));
}

/** https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event */
function sqsRecord(message: Message, { arn, region }: { arn: string; region: string }): object {
  return {
    messageId: message.MessageId,
    receiptHandle: message.ReceiptHandle,
    body: message.Body,
    attributes: message.Attributes ?? {},
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(([name, value]) => [
        name,
        {
          ...(value.StringValue === undefined ? {} : { stringValue: value.StringValue }),
          ...(value.BinaryValue === undefined
            ? {}
            : { binaryValue: Buffer.from(value.BinaryValue).toString('base64') }),
          stringListValues: [],
          binaryListValues: [],
          dataType: value.DataType,
        },
      ]),
    ),
    md5OfBody: message.MD5OfBody,
    eventSource: 'aws:sqs',
    eventSourceARN: arn,
    awsRegion: region,
  };
}
