// Everything the page knows, as signals, and what keeps them up to date: the stream and a few polls.
// Holds a bounded number of everything, however long the page stays open.
import { batch, computed, signal } from '@preact/signals';
import type { BatonEvent, EventType } from '../../contracts/event.ts';
import type {
  ClusterView,
  CrawlView,
  FaultsView,
  FileView,
  HealthView,
  MailView,
  QueuesView,
  ServicesView,
  SourceStanding,
} from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { addChanges, type ChangeFilter, type ItemChange } from './changes.ts';
import { addToLog, type LogEntry } from './event-log.ts';
import { openLive, type StreamState } from './live.ts';
import { startPoll } from './poll.ts';

/** What was last answered, and whether the last question failed. */
export interface Known<T> {
  readonly value: T | undefined;
  readonly stale: boolean;
}
const unknown = { value: undefined, stale: false };

export const cluster = signal<Known<ClusterView>>(unknown);
export const health = signal<Known<HealthView>>(unknown);
/** Of the launcher: a laptop has one, AWS has none. */
export const services = signal<Known<ServicesView>>(unknown);
export const queues = signal<Known<QueuesView>>(unknown);
export const sources = signal<Known<{ standings: SourceStanding[] }>>(unknown);
export const files = signal<Known<{ files: FileView[] }>>(unknown);
export const crawls = signal<Known<{ crawls: CrawlView[] }>>(unknown);
export const mails = signal<Known<{ mails: MailView[] }>>(unknown);
export const faults = signal<Known<FaultsView>>(unknown);
export const changes = signal<readonly ItemChange[]>([]);
/** While a reader pauses the stream: what stands still. */
export const frozen = signal<readonly ItemChange[] | undefined>(undefined);
export const filter = signal<ChangeFilter>({ text: '', kind: 'all' });
export const log = signal<readonly LogEntry[]>([]);
const stream = signal<StreamState | 'opening'>('opening');
/** When the node last fell silent; undefined while it answers. */
export const silentSince = signal<number | undefined>(undefined);

export type Connection = 'connecting' | 'live' | 'reconnecting';
export const connection = computed<Connection>(() => {
  if (silentSince.value !== undefined || stream.value === 'lost') return 'reconnecting';
  return stream.value === 'open' && cluster.value.value !== undefined ? 'live' : 'connecting';
});

// A stream over a connection that died without a word stays "open" for minutes; after this much silence it is renewed.
const deafAfterMs = 10_000;

export function start(): void {
  const renewStream = openLive({
    onState: (state) => (stream.value = state),
    onReset: () => (changes.value = []),
    onEvents: (events) => batch(() => take(events)),
  });
  const ask = <T>(path: string, everyMs: number, known: { value: Known<T> }) =>
    startPoll<T>({
      path,
      everyMs,
      onAnswer: (value) => (known.value = { value, stale: false }),
      onFailure: () => (known.value = { ...known.value, stale: true }),
    });
  const askCluster = startPoll<ClusterView>({
    path: publicRoutes.cluster,
    everyMs: 1_000,
    onAnswer: (value) =>
      batch(() => {
        cluster.value = { value, stale: false };
        const since = silentSince.value;
        silentSince.value = undefined;
        if (since !== undefined && Date.now() - since > deafAfterMs) renewStream();
      }),
    onFailure: () =>
      batch(() => {
        cluster.value = { ...cluster.value, stale: true };
        silentSince.value ??= Date.now();
      }),
  });
  const askHealth = ask(publicRoutes.health, 2_000, health);
  const askServices = ask(publicRoutes.services, 2_000, services);
  ask(publicRoutes.queues, 2_000, queues);
  ask(publicRoutes.sources, 10_000, sources);
  const askFiles = ask(publicRoutes.files, 5_000, files);
  const askCrawls = ask(publicRoutes.crawls, 5_000, crawls);
  const askMails = ask(publicRoutes.mails, 5_000, mails);
  const askFaults = ask(publicRoutes.faults, 5_000, faults);

  const askLeadership = (): void => {
    askCluster();
    askHealth();
  };
  /** What is shown of these things is asked for again when one of them changed. */
  const askAgain: Partial<Record<EventType, () => void>> = {
    'role.changed': askLeadership,
    'fence.claimed': askLeadership,
    'fence.refused': askLeadership,
    'file.changed': askFiles,
    'crawl.changed': askCrawls,
    'mail.changed': askMails,
    'fault.injected': askFaults,
    'service.changed': askServices,
  };
  function take(events: readonly BatonEvent[]): void {
    changes.value = addChanges(
      changes.value,
      events.filter((event) => event.type === 'item.changed'),
    );
    log.value = addToLog(log.value, events);
    for (const type of new Set(events.map((event) => event.type))) askAgain[type]?.();
  }
}
