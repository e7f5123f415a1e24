// What one invocation does: a tick or a message of the queue `files`, under a lease of the leader: `ftp-sync`, or for an export,
// which touches no file that comes in, `ftp-export`. Ticks never fail (the next one is near); a message is handled, sent to
// wait for a bounded time, or dead-lettered, never lost.
import * as z from 'zod';
import {
  fileCommandSchema,
  fileCommandType,
  fileCommandVersion,
  type FileCommand,
} from '../../contracts/file-command.ts';
import { detailText } from '../../contracts/event.ts';
import { routes } from '../../contracts/node-api.ts';
import { decodeHeaders, messagesOf, type QueuedMessage } from '../../contracts/rabbitmq-event.ts';
import { messageHeaders, queues, routingKeys } from '../../contracts/topology.ts';
import { codeOf, describeError, Failure } from '../../runtime/failure.ts';
import { childTraceparent, newTraceparent } from '../../runtime/trace.ts';
import { deadLetter, publishRetry, type PublishPorts } from '../dead-letter.ts';
import { isForAPerson } from '../is-for-a-person.ts';
import { readMessage } from '../read-message.ts';
import { reportingEvents } from '../report-events.ts';
import { exportItems } from './export-items.ts';
import { retryRejected, syncAll, syncOne, type SyncCounts, type SyncPorts, type Work } from './sync-files.ts';

export interface EventPorts extends SyncPorts, PublishPorts {}
export interface Invocation {
  /** performance.now() milliseconds. */
  readonly deadline: number;
  readonly owner: string;
}

const leaseMs = 120_000; // How long a dead worker blocks the next one.
const renewMs = 40_000;
const callTimeoutMs = 5_000;
/** So long after its first try a command is given up: what stands in its way then is for a person. */
const triedForMs = 3_600_000;
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
    counts = await underLease(
      ports,
      invocation,
      { lease: 'ftp-sync', traceparent: newTraceparent() },
      (work) => syncAll(ports, work),
    );
    outcome = 'done';
  } catch (error) {
    if (codeOf(error) === 'LEASE_HELD') outcome = 'held';
    else {
      ports.logger.warn(`this tick's sync failed, the next one tries again: ${describeError(error)}`);
      tellIfForAPerson(ports, 'sync', error);
    }
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
  arrived: QueuedMessage,
  invocation: Invocation,
): Promise<void> {
  const read = readMessage<FileCommand>(arrived.message, {
    schema: fileCommandSchema,
    type: fileCommandType,
    version: fileCommandVersion,
    bytesMax: commandBytesMax,
  });
  if (read.kind === 'poison')
    return await deadLetter(ports, { ...arrived, ...read, routingKey: routingKeys.files('unknown') });
  try {
    await runCommand(ports, read.value, invocation);
  } catch (error) {
    await afterFailure(ports, arrived, read.value, error);
  }
}

async function afterFailure(
  ports: EventPorts,
  arrived: QueuedMessage,
  { kind }: FileCommand,
  error: unknown,
): Promise<void> {
  const code = codeOf(error);
  const reason = describeError(error);
  const letter = { ...arrived, code, routingKey: routingKeys.files(kind) };
  if (error instanceof Failure && error.rule.next === 'dead-letter')
    return await deadLetter(ports, { ...letter, reason });
  tellIfForAPerson(ports, kind, error);
  const now = Date.now();
  const firstTriedAt = firstTriedAtOf(arrived) ?? now;
  const isOver = now - firstTriedAt > triedForMs;
  // What another worker's sync does not take the next tick takes, as it does all that still lies in in/.
  const isOfTicks = kind === 'sync' ? isOver || code === 'LEASE_HELD' : kind === 'deposited' && isOver;
  if (isOfTicks) return ports.logger.info(`${kind} is left to the ticks: ${reason}`);
  if (isOver)
    return await deadLetter(ports, { ...letter, reason: `given up after an hour of tries: ${reason}` });
  ports.logger.warn(`${kind} waits in ${queues.filesRetry.name}: ${reason}`);
  await publishRetry(ports, arrived, { [messageHeaders.firstTriedAt]: firstTriedAt });
}

function tellIfForAPerson({ logger }: EventPorts, kind: FileCommand['kind'], error: unknown): void {
  if (isForAPerson(error))
    logger.emit({
      type: 'problem',
      code: codeOf(error),
      detail: detailText(`the leader refused a call for ${kind}: ${describeError(error)}`),
    });
}

function firstTriedAtOf({ message }: QueuedMessage): number | undefined {
  const at = decodeHeaders(message.basicProperties.headers)[messageHeaders.firstTriedAt];
  return typeof at === 'number' ? at : undefined;
}

/** A file that it leaves in in/ is the ticks' to go on with. @throws what keeps it from being done, LEASE_HELD too. */
async function runCommand(ports: EventPorts, command: FileCommand, invocation: Invocation): Promise<void> {
  await underLease(
    ports,
    invocation,
    {
      lease: command.kind === 'export' ? 'ftp-export' : 'ftp-sync',
      traceparent: childTraceparent(command.traceparent),
    },
    async (work) => {
      switch (command.kind) {
        case 'sync':
          return void (await syncAll(ports, work));
        case 'deposited':
          return void (await syncOne(ports, work, command.name));
        case 'retry':
          return void (await retryRejected(ports, work, command.name));
        case 'export':
          return await exportItems(ports, work);
      }
    },
  );
}

/** @throws Failure LEASE_HELD when another worker has it. */
async function underLease<T>(
  { leader, logger }: EventPorts,
  { deadline, owner }: Invocation,
  { lease: name, traceparent }: { lease: string; traceparent: string },
  run: (work: Work) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const lease = (ms: number, until: number) =>
    leader.call(
      {
        method: 'POST',
        path: routes.lease(name),
        json: { owner, leaseMs: ms },
        timeoutMs: callTimeoutMs,
        traceparent,
      },
      { deadline: until },
    );
  const take = () => lease(leaseMs, Math.min(deadline, performance.now() + 2 * callTimeoutMs));
  const renew = async (): Promise<void> => {
    try {
      await take();
    } catch (error) {
      logger.warn(`renewing the lease failed: ${describeError(error)}`);
      if (['LEASE_HELD', 'LEASE_LOST'].includes(codeOf(error))) lost.abort();
    }
  };
  await take();
  let renewal: Promise<void> | undefined;
  const timer = setInterval(() => void (renewal = renew()), renewMs);
  try {
    return await run({ deadline, traceparent, signal: lost.signal });
  } finally {
    clearInterval(timer);
    await renewal; // Answered after the lease was given back, it would take it once more.
    // Also when the time is over: else it blocks the next one for two minutes.
    await lease(0, performance.now() + callTimeoutMs).catch((error: unknown) =>
      logger.warn(`giving the lease back failed: ${describeError(error)}`),
    );
  }
}
