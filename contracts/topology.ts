// The system, said once: exchanges, queues with all their arguments, functions, event sources, schedules
// and nodes. cdk/ and emulator/ build from it and every process reads its names here.
// Only what RabbitMQ 3.10, 3.13, 4.2 and 4.3 all accept: durable quorum queues, no delayed-message plugin.
import { itemQueueName, itemQueueNames } from './item-partitions.ts';
import { deadQueueOf, retryQueueOf } from './queue-names.ts';

export const exchanges = {
  /** Work: routed by kind and source. */
  main: { name: 'baton', type: 'topic' },
  /** Dead letters: routed by the name of the dead queue. */
  dead: { name: 'baton.dead', type: 'direct' },
  /** Messages that wait before they are tried again: routed by the name of the retry queue. */
  retry: { name: 'baton.retry', type: 'direct' },
} as const;

export interface Queue {
  readonly name: string;
  readonly bindings: readonly { readonly exchange: string; readonly routingKey: string }[];
  readonly arguments: Readonly<Record<string, string | number>>;
}

// Consumer crashes count for every prefetched message, so a low limit would dead-letter innocents (RabbitMQ
// docs, quorum queues, "poison message handling"); handlers dead-letter real poison themselves.
const deliveryLimit = 1_000;
/** A full queue refuses publishes (the publisher slows down) instead of dropping its head. */
const lengthMax = 200_000;

function workQueue(name: string, routingKey: string): Queue {
  return {
    name,
    bindings: [{ exchange: exchanges.main.name, routingKey }],
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': deliveryLimit,
      'x-max-length': lengthMax,
      'x-overflow': 'reject-publish',
      'x-dead-letter-exchange': exchanges.dead.name,
      'x-dead-letter-routing-key': deadQueueOf(name),
      'x-dead-letter-strategy': 'at-least-once',
    },
  };
}
function retryQueue(name: string, { delayMs, routingKey }: { delayMs: number; routingKey: string }): Queue {
  return {
    name: retryQueueOf(name),
    bindings: [{ exchange: exchanges.retry.name, routingKey: retryQueueOf(name) }],
    arguments: {
      'x-queue-type': 'quorum',
      'x-message-ttl': delayMs,
      'x-delivery-limit': deliveryLimit,
      'x-max-length': lengthMax,
      'x-overflow': 'reject-publish',
      'x-dead-letter-exchange': exchanges.main.name,
      'x-dead-letter-routing-key': routingKey,
      'x-dead-letter-strategy': 'at-least-once',
    },
  };
}
function deadQueue(name: string): Queue {
  return {
    name: deadQueueOf(name),
    bindings: [{ exchange: exchanges.dead.name, routingKey: deadQueueOf(name) }],
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': deliveryLimit,
      'x-max-length': lengthMax,
      'x-overflow': 'reject-publish',
    },
  };
}

const itemQueue = (name: string) => workQueue(name, `${name}.#`);
const itemRetryQueue = (name: string) => retryQueue(name, { delayMs: 2_000, routingKey: `${name}.retry` });

/** Users of RabbitMQ: `admin` declares these, `event-source` consumes, the others publish what is theirs. */
export const brokerUsers = ['event-source', 'nodes', 'functions'] as const;
export type BrokerUser = (typeof brokerUsers)[number];

export const queues = {
  items: itemQueue('items'),
  itemsRetry: itemRetryQueue('items'),
  itemsDead: deadQueue('items'),
  files: workQueue('files', 'files.#'),
  filesRetry: retryQueue('files', { delayMs: 5_000, routingKey: 'files.retry' }),
  filesDead: deadQueue('files'),
  mail: workQueue('mail', 'mail.#'),
  mailRetry: retryQueue('mail', { delayMs: 5_000, routingKey: 'mail.retry' }),
  mailDead: deadQueue('mail'),
} as const satisfies Record<string, Queue>;

/** All queues there are when `items` has that many partitions; with one, those above. */
export function queuesOf(itemPartitions: number): readonly Queue[] {
  const names = itemQueueNames(itemPartitions);
  return Object.values(queues).flatMap((queue): Queue[] => {
    switch (queue) {
      case queues.items:
        return names.map(itemQueue);
      // One each: what waits comes back by the one key that its queue's arguments name.
      case queues.itemsRetry:
        return names.map(itemRetryQueue);
      case queues.itemsDead:
        return [{ ...queue, bindings: names.flatMap((name) => deadQueue(name).bindings) }];
      default:
        return [queue];
    }
  });
}

export const routingKeys = {
  items: (source: string, partition = 0) => `${itemQueueName(partition)}.${source}`,
  files: (kind: string) => `files.${kind}`,
  mail: 'mail.send',
} as const;

/** Headers of ours on messages. */
export const messageHeaders = {
  /** Which attempt it is, left out for the first; counted by us because x-death counts differ between RabbitMQ releases. */
  attempt: 'x-baton-attempt',
  /** When a message that is given up after a time was first tried, in milliseconds. */
  firstTriedAt: 'x-baton-first-tried-at',
  traceparent: 'traceparent',
  /** When the scraper published it, in milliseconds: RabbitMQ's own property holds seconds. */
  publishedAt: 'x-baton-published-at',
  /** On dead letters: a code of contracts/failures.ts, and the reason in words. */
  deadCode: 'x-baton-code',
  deadReason: 'x-baton-reason',
  /** On dead letters: the routing key and queue it came from, so that it can be sent again. */
  originalRoutingKey: 'x-baton-routing-key',
  originalQueue: 'x-baton-queue',
  /** On a dead letter that was sent again: how often, and its id in the table of the leader. */
  retries: 'x-baton-retries',
  deadLetterId: 'x-baton-dead-letter',
} as const;

/** What of a message's headers goes with it when it is published again: texts and numbers, but for the broker's own account of it. */
export function ownHeaders(headers: Readonly<Record<string, unknown>>): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(headers).filter(
      (entry): entry is [string, string | number] =>
        (typeof entry[1] === 'string' || typeof entry[1] === 'number') &&
        !/^x-(?:(?:first-|last-)?death|delivery-count)/.test(entry[0]),
    ),
  );
}

/** Above this depth of `items`, its partitions together, the scraper stores its frontier and ends; the next tick goes on from there. */
export const scraperPausesAtDepth = 5_000;

/** SQS queues. Ticks that nobody took within a minute are stale, so they expire; an expired message never reaches a dead-letter queue, so there is none. */
export const sqsQueues = {
  announcements: {
    name: 'baton-announcements.fifo',
    fifo: true,
    retentionS: 60,
    visibilityTimeoutS: 30,
    delayS: 0,
  },
  tick: { name: 'baton-tick', fifo: false, retentionS: 60, visibilityTimeoutS: 900, delayS: 0 },
  tickDelayed: {
    name: 'baton-tick-delayed',
    fifo: false,
    retentionS: 90,
    visibilityTimeoutS: 900,
    delayS: 30,
  },
} as const;

export const directoryTable = { name: 'baton-directory', key: 'cluster' } as const;

export const functionNames = ['scraper', 'deliver', 'announce', 'redirect', 'ftp-sync', 'mail'] as const;
export type FunctionName = (typeof functionNames)[number];
/** They have a certificate of their own, publish on the broker and run where both are reached; the others need the directory alone. */
export const functionsThatCallNodes = [
  'scraper',
  'deliver',
  'ftp-sync',
  'mail',
] as const satisfies readonly FunctionName[];
export type FunctionThatCallsNodes = (typeof functionsThatCallNodes)[number];

export interface FunctionSettings {
  readonly memoryMb: number;
  readonly timeoutS: number;
  /** The module under functions/ whose `handler` is run. */
  readonly entry: string;
  /** Whether it answers HTTP: at a function URL, and on AWS behind the load balancer, which knows its readers. */
  readonly answersHttp: boolean;
}
export const functions = {
  // A shop at the limit of its state takes 450 MB while that is packed.
  scraper: { memoryMb: 1024, timeoutS: 300, entry: 'scraper/handler.ts', answersHttp: false },
  deliver: { memoryMb: 512, timeoutS: 60, entry: 'intermediary/deliver-handler.ts', answersHttp: false },
  announce: { memoryMb: 256, timeoutS: 10, entry: 'intermediary/announce-handler.ts', answersHttp: false },
  redirect: { memoryMb: 256, timeoutS: 5, entry: 'intermediary/redirect-handler.ts', answersHttp: true },
  // RabbitMQ takes back what is not acknowledged within half an hour, and a mapping holds two batches: two invocations fit.
  'ftp-sync': { memoryMb: 512, timeoutS: 840, entry: 'ftp-sync/handler.ts', answersHttp: false },
  // The answer of a slow mail server (contracts/mail-message.ts), and time before it for a batch that is sent as usual.
  mail: { memoryMb: 256, timeoutS: 840, entry: 'mail/handler.ts', answersHttp: false },
} as const satisfies Record<FunctionName, FunctionSettings>;

export interface RabbitmqEventSource {
  readonly function: FunctionName;
  readonly queue: string;
  readonly batchSize: number;
  readonly windowMs: number;
}
/** Lambda runs one execution at a time per RabbitMQ mapping; batch 1 to 10,000, window 0 to 300 s, 6 MB an invocation. */
export const rabbitmqEventSources = [
  // What an invocation costs is shared by its messages; with five times as many it is no longer most of an item's cost.
  { function: 'deliver', queue: queues.items.name, batchSize: 500, windowMs: 0 },
  { function: 'ftp-sync', queue: queues.files.name, batchSize: 1, windowMs: 0 },
  { function: 'mail', queue: queues.mail.name, batchSize: 10, windowMs: 0 },
] as const satisfies readonly RabbitmqEventSource[];
/** A mapping for each partition of `items`. */
export function rabbitmqEventSourcesOf(itemPartitions: number): readonly RabbitmqEventSource[] {
  return rabbitmqEventSources.flatMap((source) =>
    source.queue === queues.items.name
      ? itemQueueNames(itemPartitions).map((queue) => ({ ...source, queue }))
      : [source],
  );
}

/** With reportBatchItemFailures a function may answer `{ batchItemFailures: [{ itemIdentifier }] }`; all others of the batch are done. */
export const sqsEventSources = [
  {
    function: 'announce',
    queue: sqsQueues.announcements.name,
    batchSize: 10,
    reportBatchItemFailures: true,
  },
  { function: 'ftp-sync', queue: sqsQueues.tick.name, batchSize: 1, reportBatchItemFailures: false },
  { function: 'ftp-sync', queue: sqsQueues.tickDelayed.name, batchSize: 1, reportBatchItemFailures: false },
] as const satisfies readonly {
  function: FunctionName;
  queue: string;
  batchSize: number;
  reportBatchItemFailures: boolean;
}[];

/** EventBridge rules; one minute is their minimum, so a second target with a 30 s delivery delay makes it 30 s. */
export const schedules = [
  {
    name: 'baton-tick',
    everyMinutes: 1,
    targets: [{ sqs: sqsQueues.tick.name }, { sqs: sqsQueues.tickDelayed.name }],
  },
  { name: 'baton-scrape', everyMinutes: 1, targets: [{ function: 'scraper' }] },
] as const satisfies readonly {
  name: string;
  everyMinutes: number;
  targets: readonly ({ sqs: string } | { function: FunctionName })[];
}[];

export const nodes = {
  countDefault: 3,
  countsAllowed: [1, 3, 5, 7],
  /** Milliseconds. Fits one region; wider networks raise both. */
  heartbeatMs: 50,
  electionTimeoutMs: 300,
  /**
   * Flags for Node, beside those that every process of ours gets. V8 lets the young generation grow to three times 16 MB; a node lives as
   * well with a small one, and when it is killed its sockets close only after its memory is freed.
   */
  flags: ['--max-semi-space-size=2'],
} as const;
