// One queue of SQS as a mapping uses it: polled, and its messages taken away or shown again.
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type Message,
  type SQSClient,
} from '@aws-sdk/client-sqs';

const longPollS = 10;

interface PolledQueueOptions {
  readonly queueUrl: string;
  readonly batchSize: number;
  readonly retentionS: number;
  readonly report: (words: string) => void;
}

export class PolledQueue {
  readonly #sqs: SQSClient;
  readonly #options: PolledQueueOptions;

  constructor(sqs: SQSClient, options: PolledQueueOptions) {
    this.#sqs = sqs;
    this.#options = options;
  }

  /** Those that AWS would hand out; what is older than the queue keeps them is dropped. `signal` cuts the long poll. */
  async receive(signal: AbortSignal): Promise<Message[]> {
    const { queueUrl, batchSize } = this.#options;
    const { Messages: messages = [] } = await this.#sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: batchSize,
        WaitTimeSeconds: longPollS,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      }),
      { abortSignal: signal },
    );
    return this.#dropExpired(messages);
  }

  async #dropExpired(messages: readonly Message[]): Promise<Message[]> {
    const { retentionS, report } = this.#options;
    const oldest = Date.now() - retentionS * 1_000;
    const expired = messages.filter(
      ({ Attributes }) => Number(Attributes?.SentTimestamp ?? Infinity) < oldest,
    );
    if (expired.length > 0) {
      report(`${expired.length} message(s) older than ${retentionS} s are dropped`);
      await this.remove(expired);
    }
    return messages.filter((message) => !expired.includes(message));
  }

  async remove(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    const { queueUrl, report } = this.#options;
    const answer = await this.#sqs.send(
      new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries(messages) }),
    );
    for (const failed of answer.Failed ?? [])
      report(`a handled message was not deleted and comes again: ${failed.Code ?? 'no reason'}`);
  }

  /** At once: the function did not run, so its visibility timeout need not be waited for. */
  async showAgain(messages: readonly Message[]): Promise<void> {
    await this.#sqs.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: this.#options.queueUrl,
        Entries: entries(messages).map((entry) => ({ ...entry, VisibilityTimeout: 0 })),
      }),
    );
  }
}

function entries(messages: readonly Message[]): { Id: string; ReceiptHandle: string | undefined }[] {
  return messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
}
