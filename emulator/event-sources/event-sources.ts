// Every event source of contracts/topology.ts in one process: RabbitMQ mappings, SQS mappings and schedules, all
// calling functions over the Invoke API. Wiring only.
import { GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs';
import {
  functions,
  rabbitmqEventSourcesOf,
  schedules,
  sqsEventSources,
  sqsQueues,
} from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import { pause } from '../../runtime/waiting.ts';
import type { BrokerAddress } from '../../runtime/amqps.ts';
import { credentials } from '../local-aws.ts';
import { reachableQueueUrl } from '../services/aws/queue-url.ts';
import { createInvokeClient } from './invoke-client.ts';
import { startRabbitmqMapping, type EventSource, type MappingCounts } from './rabbitmq.ts';
import { startSchedule, type Schedule } from './schedule.ts';
import { startSqsMapping } from './sqs.ts';

export interface EventSourcesOptions {
  /** Where functions are invoked: AWS_ENDPOINT_URL_LAMBDA. */
  readonly invokeUrl: string;
  /** Left out where the emulator of SQS has its own mappings and rules, as LocalStack: then RabbitMQ's alone are here. */
  readonly sqsUrl?: string | undefined;
  readonly region: string;
  readonly broker: BrokerAddress;
  /** Number of partitions of the queue `items`; 1 without it. */
  readonly itemPartitions?: number;
  readonly logger: Logger;
}
export interface EventSources {
  readonly name: 'event-sources';
  /** What it calls: it listens nowhere itself. */
  readonly address: string;
  counts(): Readonly<Record<string, MappingCounts>>;
  close(): Promise<void>;
}

const queueTries = 20;

/** @throws Error naming the queue when one of SQS does not exist within 5 s. */
export async function startEventSources(options: EventSourcesOptions): Promise<EventSources> {
  const { logger, region, broker, sqsUrl } = options;
  const invoke = createInvokeClient(options.invokeUrl);
  const opened: (EventSource | Schedule)[] = [];
  const sources: EventSource[] = [];
  let sqsClient: SQSClient | undefined;
  const close = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((source) => source.close()));
    await invoke.close();
    sqsClient?.destroy();
  };
  try {
    for (const mapping of rabbitmqEventSourcesOf(options.itemPartitions ?? 1)) {
      const { timeoutS } = functions[mapping.function];
      sources.push(
        startRabbitmqMapping({
          mapping: { ...mapping, functionTimeoutS: timeoutS },
          broker,
          invoke,
          logger,
        }),
      );
    }
    opened.push(...sources);
    if (sqsUrl !== undefined) await startThoseOfSqs(sqsUrl);
  } catch (error) {
    await close();
    throw error;
  }

  async function startThoseOfSqs(endpoint: string): Promise<void> {
    const sqs = new SQSClient({ region, endpoint, credentials });
    sqsClient = sqs;
    const queueUrls = new Map<string, string>();
    const retentions = new Map<string, number>();
    for (const { name, retentionS } of Object.values(sqsQueues)) retentions.set(name, retentionS);
    for (const { name } of Object.values(sqsQueues))
      queueUrls.set(name, reachableQueueUrl(await findQueue(sqs, name), endpoint));
    const queueUrl = (name: string): string => queueUrls.get(name) ?? name;
    for (const { queue, ...mapping } of sqsEventSources) {
      const source = startSqsMapping({
        mapping: {
          ...mapping,
          queueUrl: queueUrl(queue),
          functionTimeoutS: functions[mapping.function].timeoutS,
          retentionS: retentions.get(queue) ?? Infinity,
          region,
        },
        sqs,
        invoke,
        logger,
      });
      sources.push(source);
      opened.push(source);
    }
    for (const { name, everyMinutes, targets } of schedules)
      opened.push(
        startSchedule({
          rule: {
            name,
            everyMs: everyMinutes * 60_000,
            firstDelayMs: 0,
            targets: targets.map((target) => ('sqs' in target ? { queueUrl: queueUrl(target.sqs) } : target)),
          },
          region,
          sqs,
          invoke,
          logger,
        }),
      );
  }

  return {
    name: 'event-sources',
    address: options.invokeUrl,
    counts: () => Object.fromEntries(sources.map((source) => [source.name, source.counts()])),
    close,
  };
}

async function findQueue(sqs: SQSClient, name: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
      if (QueueUrl !== undefined) return QueueUrl;
      throw new Error('it has no URL');
    } catch (cause) {
      if (tries === queueTries)
        throw new Error(`the SQS queue ${name} cannot be found: ${describeError(cause)}`, { cause });
      await pause(250);
    }
  }
}
