// EventBridge rules with `rate(N minutes)`: steady on the monotonic clock, whatever a target takes. EventBridge fires
// for the first time one period after a rule is made; here the first delay is a setting, since nobody on a laptop
// wants to wait a minute for the first page. Periods that were slept through are left out, not caught up.
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import { backOffMs, pause, type BackOff } from '../../runtime/waiting.ts';
import { accountId } from '../local-aws.ts';
import type { InvokeClient } from './invoke-client.ts';

export type ScheduleTarget = { readonly queueUrl: string } | { readonly function: string };
export interface ScheduleRule {
  readonly name: string;
  readonly everyMs: number;
  readonly firstDelayMs: number;
  readonly targets: readonly ScheduleTarget[];
}
export interface Schedule {
  readonly name: string;
  /** How often it has fired. */
  fired(): number;
  close(): Promise<void>;
}

const sendTriesMax = 4; // EventBridge tries for a day; a tick of a minute ago is of no use here.
const sendBackOff: BackOff = { firstMs: 250, msMax: 2_000 };

export function startSchedule({
  rule,
  region,
  sqs,
  invoke,
  logger,
}: {
  rule: ScheduleRule;
  region: string;
  sqs: SQSClient;
  invoke: InvokeClient;
  logger: Logger;
}): Schedule {
  const stopping = new AbortController();
  const sending = new Set<Promise<void>>();
  let fired = 0;
  const running = run();

  async function run(): Promise<void> {
    const startedAt = performance.now() + rule.firstDelayMs;
    for (;;) {
      const elapsed = performance.now() - startedAt;
      await pause(dueInMs({ elapsed, everyMs: rule.everyMs, fired: fired > 0 }), stopping.signal);
      if (stopping.signal.aborted) return;
      fired++;
      const event = JSON.stringify(scheduledEvent({ rule: rule.name, region, at: new Date() }));
      for (const target of rule.targets) {
        const sent: Promise<void> = send(target, event).finally(() => sending.delete(sent));
        sending.add(sent);
      }
    }
  }

  async function send(target: ScheduleTarget, event: string): Promise<void> {
    for (let tries = 1; !stopping.signal.aborted; tries++) {
      const problem = await trySend(target, event);
      if (problem === undefined) return;
      if (tries === sendTriesMax) {
        logger.warn(`${rule.name}: an event is given up after ${tries} tries: ${problem}`);
        return;
      }
      await pause(backOffMs(sendBackOff, tries), stopping.signal);
    }
  }

  /** What went wrong, if something did. */
  async function trySend(target: ScheduleTarget, event: string): Promise<string | undefined> {
    if ('function' in target) {
      const outcome = await invoke.sendEvent(target.function, event);
      return outcome.kind === 'answered' ? undefined : outcome.reason;
    }
    try {
      await sqs.send(new SendMessageCommand({ QueueUrl: target.queueUrl, MessageBody: event }));
      return undefined;
    } catch (error) {
      return `${target.queueUrl}: ${describeError(error)}`;
    }
  }

  return {
    name: rule.name,
    fired: () => fired,
    async close() {
      stopping.abort();
      await running;
      await Promise.all(sending);
    },
  };
}

/**
 * Pure. `elapsed`: since the first firing was due, below 0 before that.
 * @returns the time to the next due moment; a whole number of periods lies between any two of them.
 */
export function dueInMs({
  elapsed,
  everyMs,
  fired,
}: {
  elapsed: number;
  everyMs: number;
  fired: boolean;
}): number {
  if (!fired) return Math.max(0, -elapsed);
  // A timer may end a moment too early; that moment belongs to the period that has just fired.
  const early = 5;
  return (Math.floor((elapsed + early) / everyMs) + 1) * everyMs - elapsed;
}

/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html */
export function scheduledEvent({ rule, region, at }: { rule: string; region: string; at: Date }): object {
  return {
    version: '0',
    id: crypto.randomUUID(),
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: accountId,
    time: `${at.toISOString().slice(0, 19)}Z`,
    region,
    resources: [`arn:aws:events:${region}:${accountId}:rule/${rule}`],
    detail: {},
  };
}
