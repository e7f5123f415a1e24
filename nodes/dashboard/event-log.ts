// What happened around the cluster, in words: elections, fence, faults, services, dead letters. Pure.
// Leaves out what has a place of its own on the page: items, batches, files, crawls, mails.
import type { BatonEvent, EventType } from '../../contracts/event.ts';

export interface LogEntry {
  /** Equal keys are one entry: a stream that starts anew sends its past again, and a page may fail every minute. */
  readonly key: string;
  /** When it happened last. */
  readonly at: string;
  readonly times: number;
  /** Who says so, where the text does not say it. */
  readonly process: string | undefined;
  readonly tone: 'plain' | 'good' | 'bad';
  /** One or two words: what it is about. */
  readonly subject: string;
  readonly text: string;
}

export const logKept = 100;

export function addToLog(log: readonly LogEntry[], events: readonly BatonEvent[]): readonly LogEntry[] {
  const entries = new Map(log.toReversed().map((entry) => [entry.key, entry]));
  let isNews = false;
  for (const entry of events.map(toEntry)) {
    const known = entry && entries.get(entry.key);
    if (!entry || (known && Date.parse(known.at) >= Date.parse(entry.at))) continue;
    entries.delete(entry.key); // The last is the newest.
    entries.set(entry.key, { ...entry, times: (known?.times ?? 0) + 1 });
    isNews = true;
  }
  if (!isNews) return log;
  // Several processes speak here, each by its own clock, so the time decides and not the arrival.
  return [...entries.values()]
    .toReversed()
    .sort((left, right) => Date.parse(right.at) - Date.parse(left.at))
    .slice(0, logKept);
}

function toEntry(event: BatonEvent): LogEntry | undefined {
  const said = describe(event);
  if (!said) return undefined;
  const [tone, subject, text] = said;
  const process = text.includes(event.process) ? undefined : event.process;
  const key = foldedTypes.has(event.type) ? JSON.stringify([process, subject, text]) : JSON.stringify(event);
  return { key, at: event.at, times: 1, process, tone, subject, text };
}
/** What comes again and again in the same words, and would push everything else out. */
const foldedTypes: ReadonlySet<EventType> = new Set(['page.failed', 'message.dead-lettered', 'problem']);

function describe(event: BatonEvent): [LogEntry['tone'], string, string] | undefined {
  switch (event.type) {
    case 'role.changed':
      return event.to === 'leader'
        ? ['good', 'Leader', `${event.node} leads term ${event.term}: ${event.reason}`]
        : [
            'plain',
            'Role',
            `${event.node} is ${event.to}${event.leader === null || event.leader === event.node ? '' : ` of ${event.leader}`} in term ${event.term}: ${event.reason}`,
          ];
    case 'election.started':
      return ['plain', 'Election', `${event.node} asks for votes in term ${event.term}: ${event.reason}`];
    case 'fence.claimed':
      return ['good', 'Fence', `${event.node} claimed term ${event.term} in ${Math.round(event.tookMs)} ms`];
    case 'fence.refused':
      return [
        'bad',
        'Fence',
        `the database refused ${event.node} in term ${event.term} (${event.what})${event.databaseTerm === null ? '' : `: it has seen term ${event.databaseTerm}`}`,
      ];
    case 'vote-file.recovered':
      return [
        'plain',
        'Recovery',
        `${event.by} gave ${event.node} a new vote file: it votes after term ${event.term}`,
      ];
    case 'fault.injected':
      return [
        event.action === 'heal' || event.action === 'resume' ? 'good' : 'bad',
        'Fault',
        faultText(event),
      ];
    case 'service.changed':
      return [
        event.state === 'up' ? 'good' : 'plain',
        'Service',
        `${event.service} is ${event.state}${event.detail === null ? '' : `: ${event.detail}`}`,
      ];
    case 'message.dead-lettered':
      return ['bad', 'Dead letter', `${event.queue}: ${event.code}, ${event.reason}`];
    case 'page.failed':
      return ['bad', 'Page', `${event.source}: ${event.url}: ${event.reason}`];
    case 'problem':
      return ['bad', 'Problem', `${event.code}: ${event.detail}`];
    case 'process.started':
      return ['plain', 'Process', `started, release ${event.release}`];
    case 'process.stopping':
      return ['plain', 'Process', `stops: ${event.reason}`];
    case 'vote.refused': // One election has many; the outcome is what counts here.
    case 'batch.applied':
    case 'item.changed':
    case 'source.judged':
    case 'leader.writes':
    case 'file.changed':
    case 'file.exported':
    case 'crawl.changed':
    case 'mail.changed':
    case 'tick.received':
      return undefined;
  }
}

/** `detail` of a fault of the grammar is the whole command, which names action and target itself. */
function faultText({ action, target, detail }: Extract<BatonEvent, { type: 'fault.injected' }>): string {
  if (detail === null) return `${action} ${target}`;
  if (detail.startsWith(`${action} `)) return detail;
  return action === 'heal' ? `heal ${detail}` : `${action} ${target}: ${detail}`;
}
