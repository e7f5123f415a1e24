// What one invocation does: a tick or a message of the queue `files`, under the lease `ftp-sync` of the leader.
// Ticks never fail (the next one is near); a message is handled, sent to wait, or dead-lettered, never lost.
import * as z from 'zod';
import {
  fileCommandSchema,
  fileCommandType,
  fileCommandVersion,
  type FileCommand,
} from '../../contracts/file-command.ts';
import { routes } from '../../contracts/node-api.ts';
import { messagesOf, type QueuedMessage } from '../../contracts/rabbitmq-event.ts';
import { queues, routingKeys } from '../../contracts/topology.ts';
import { codeOf, describeError, Failure } from '../../runtime/failure.ts';
import { childTraceparent, newTraceparent } from '../../runtime/trace.ts';
import { deadLetter, publishRetry, type PublishPorts } from '../dead-letter.ts';
import { readMessage } from '../read-message.ts';
import { reportingEvents } from '../report-events.ts';
import { exportItems } from './export-items.ts';
import { retryRejected, syncAll, syncOne, type SyncCounts, type SyncPorts } from './sync-files.ts';

export interface EventPorts extends SyncPorts, PublishPorts {}
export interface Invocation {
  /** performance.now() milliseconds. */
  readonly deadline: number;
  readonly owner: string;
}

const leaseMs = 120_000; // How long a dead worker blocks the next one.
const renewMs = 40_000;
const callTimeoutMs = 5_000;
const commandBytesMax = 64 * 1024;

const sqsEventSchema = z.object({
  Records: z
    .array(
      z.object({
        eventSource: z.literal('aws:sqs'),
        eventSourceARN: z.string(),
        attributes: z.object({ SentTimestamp: z.string().optional() }).optional(),
      }),
    )
    .min(1),
});

/** @throws only for an event that is neither, or when a message could be neither handled nor published again. */
export async function handleEvent(ports: EventPorts, event: unknown, invocation: Invocation): Promise<void> {
  await reportingEvents(ports, async () => {
    const ticks = sqsEventSchema.safeParse(event);
    if (ticks.success) {
      for (const record of ticks.data.Records) await handleTick(ports, record, invocation);
      return;
    }
    for (const arrived of messagesOf(event)) await handleMessage(ports, arrived, invocation);
  });
}

async function handleTick(
  ports: EventPorts,
  record: z.infer<typeof sqsEventSchema>['Records'][number],
  invocation: Invocation,
): Promise<void> {
  const began = performance.now();
  let counts: SyncCounts | undefined;
  let outcome: 'done' | 'held' | 'failed' = 'failed';
  try {
    counts = await underLease(ports, invocation, newTraceparent(), (work) => syncAll(ports, work));
    outcome = counts ? 'done' : 'held';
  } catch (error) {
    ports.logger.warn(`this tick's sync failed, the next one tries again: ${describeError(error)}`);
  }
  const sentMs = Number(record.attributes?.SentTimestamp);
  ports.logger.emit({
    type: 'tick.received',
    queue: record.eventSourceARN.split(':').at(-1) ?? record.eventSourceARN,
    sentAt: Number.isFinite(sentMs) ? new Date(sentMs).toISOString() : null,
    outcome,
    files: (counts?.applied ?? 0) + (counts?.rejected ?? 0),
    tookMs: Math.round(performance.now() - began),
  });
}

async function handleMessage(
  ports: EventPorts,
  { queue, message }: QueuedMessage,
  invocation: Invocation,
): Promise<void> {
  const read = readMessage<FileCommand>(message, {
    schema: fileCommandSchema,
    type: fileCommandType,
    version: fileCommandVersion,
    bytesMax: commandBytesMax,
  });
  if (read.kind === 'poison')
    return await deadLetter(ports, { queue, message, ...read, routingKey: routingKeys.files('unknown') });
  const command = read.value;
  try {
    const done = await runCommand(ports, command, invocation);
    if (!done) await publishRetry(ports, { queue, message });
  } catch (error) {
    const reason = describeError(error);
    if (error instanceof Failure && error.rule.next === 'dead-letter')
      return await deadLetter(ports, {
        queue,
        message,
        code: error.code,
        reason,
        routingKey: routingKeys.files(command.kind),
      });
    ports.logger.warn(`${command.kind} waits in ${queues.filesRetry.name}: ${reason}`);
    await publishRetry(ports, { queue, message });
  }
}

/** False when it has to come again: another worker runs, or its file is left in in/. */
async function runCommand(ports: EventPorts, command: FileCommand, invocation: Invocation): Promise<boolean> {
  const counts = await underLease(
    ports,
    invocation,
    childTraceparent(command.traceparent),
    (work): Promise<SyncCounts> => {
      switch (command.kind) {
        case 'sync':
          return syncAll(ports, work);
        case 'deposited':
          return syncOne(ports, work, command.name);
        case 'retry':
          return retryRejected(ports, work, command.name);
        case 'export':
          return exportItems(ports, work).then(() => ({ applied: 0, rejected: 0, left: 0 }));
      }
    },
  );
  // What a sync leaves, or what another worker's sync takes, the next tick sees; a named file must not wait on luck.
  return command.kind === 'sync' || (counts !== undefined && counts.left === 0);
}

/** Undefined when another worker holds the lease. */
async function underLease<T>(
  { leader, logger }: EventPorts,
  { deadline, owner }: Invocation,
  traceparent: string,
  run: (work: { deadline: number; traceparent: string; signal: AbortSignal }) => Promise<T>,
): Promise<T | undefined> {
  const lost = new AbortController();
  const lease = (ms: number) =>
    leader.call(
      {
        method: 'POST',
        path: routes.lease('ftp-sync'),
        json: { owner, leaseMs: ms },
        timeoutMs: callTimeoutMs,
        traceparent,
      },
      { deadline: Math.min(deadline, performance.now() + 2 * callTimeoutMs) },
    );
  try {
    await lease(leaseMs);
  } catch (error) {
    if (codeOf(error) === 'LEASE_HELD') return undefined;
    throw error;
  }
  const renewal = setInterval(() => {
    lease(leaseMs).catch((error: unknown) => {
      logger.warn(`renewing the lease failed: ${describeError(error)}`);
      if (['LEASE_HELD', 'LEASE_LOST'].includes(codeOf(error))) lost.abort();
    });
  }, renewMs);
  try {
    return await run({ deadline, traceparent, signal: lost.signal });
  } finally {
    clearInterval(renewal);
    await lease(0).catch((error: unknown) =>
      logger.warn(`giving the lease back failed: ${describeError(error)}`),
    );
  }
}
