// SQS -> Lambda: polls one queue, invokes the function with a batch, deletes what succeeded. What failed comes back
// when its visibility timeout is over, as on AWS; in a FIFO queue its group waits for it until then.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
import type { Message, SQSClient } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import { backOffMs, pause, type BackOff } from '../../runtime/waiting.ts';
import { accountId } from '../local-aws.ts';
import type { InvokeClient } from './invoke-client.ts';
import { answerWithinMs, runMapping, type EventSource, type MappingRun } from './event-source.ts';
import { PolledQueue } from './polled-queue.ts';

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

const pollBackOff: BackOff = { firstMs: 200, msMax: 5_000 };
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
  const pollers = queueName.endsWith('.fifo') ? 1 : standardPollers;
  const queue = new PolledQueue(sqs, { ...mapping, report: (words) => logger.warn(`${name}: ${words}`) });
  return runMapping(name, (run) => Promise.all(Array.from({ length: pollers }, () => poll(run))));

  async function poll(run: MappingRun): Promise<void> {
    const { stopping } = run;
    for (let tries = 0; !stopping.aborted;) {
      try {
        const messages = await queue.receive(stopping);
        const ran = messages.length === 0 || (await handle(messages, run));
        tries = ran ? 0 : tries + 1;
      } catch (error) {
        // The long poll is cut when the mapping stops.
        if (stopping.aborted) return;
        tries++;
        logger.warn(`${name}: polling failed: ${describeError(error)}`);
      }
      if (tries > 0) await pause(backOffMs(pollBackOff, tries), stopping);
    }
  }

  /** False when the function could not be called at all. */
  async function handle(messages: readonly Message[], { counts, cut }: MappingRun): Promise<boolean> {
    const arn = `arn:aws:sqs:${mapping.region}:${accountId}:${queueName}`;
    const event = { Records: messages.map((message) => sqsRecord(message, { arn, region: mapping.region })) };
    const outcome = await invoke.invoke(mapping.function, JSON.stringify(event), {
      timeoutMs: answerWithinMs(mapping.functionTimeoutS),
      signal: cut,
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
      await queue.remove(succeeded);
      return true;
    }
    counts.failures++;
    logger.warn(`${name}: ${messages.length} message(s) failed: ${outcome.reason}`);
    if (outcome.kind === 'function-error') return true;
    await queue.showAgain(messages);
    return false;
  }
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
