// The node's event stream (GET /live): resumes by itself after a break, and is opened anew when the browser gave up or
// the stream went deaf. Hands events over in bunches, so that a thousand a second cost a few renderings.
import type { BatonEvent, EventType } from '../../contracts/event.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';

export type StreamState = 'open' | 'lost';
export interface LiveOptions {
  readonly onEvents: (events: readonly BatonEvent[]) => void;
  /** The feed is another one, or our place in it is gone: what was shown of it is void. */
  readonly onReset: () => void;
  readonly onState: (state: StreamState) => void;
}

const bunchEveryMs = 50; // A committed row has 250 ms to the screen; the server takes up to 100 of them.
const bunchLengthMax = 2_000; // Beyond it the oldest go: the page shows the newest few hundred anyway.
const openAgainAfterMs = 2_000;
const recent = 100;

/** Which events the page listens for: a browser hands over only those that somebody named. */
const isHeard: Readonly<Record<EventType, boolean>> = {
  'process.started': true,
  'process.stopping': true,
  'role.changed': true,
  'election.started': true,
  'vote.refused': false, // One election has many; its outcome is told.
  'fence.claimed': true,
  'fence.refused': true,
  'vote-file.recovered': true,
  'leader.writes': false,
  'batch.applied': false, // Many a second, and the items that changed are told themselves.
  'item.changed': true,
  'file.changed': true,
  'file.exported': true,
  'crawl.changed': true,
  'source.judged': false,
  'mail.changed': true,
  'message.dead-lettered': true,
  'tick.received': false,
  'page.failed': true,
  'fault.injected': true,
  'service.changed': true,
  problem: true,
};
const eventTypes = Object.keys(isHeard).filter((type) => isHeard[type as EventType]);

/** @returns a function that opens the stream anew: for one that seems open and is not. */
export function openLive({ onEvents, onReset, onState }: LiveOptions): () => void {
  let bunch: BatonEvent[] = [];
  let flushing = 0;
  let opening = 0;
  let source: EventSource | undefined;

  function take(event: BatonEvent): void {
    if (bunch.length >= bunchLengthMax) bunch.shift();
    bunch.push(event);
    flushing ||= setTimeout(() => {
      flushing = 0;
      const events = bunch;
      bunch = [];
      onEvents(events);
    }, bunchEveryMs);
  }

  function open(): void {
    clearTimeout(opening);
    source?.close();
    const stream = new EventSource(`${publicRoutes.live}?recent=${recent}`);
    source = stream;
    stream.addEventListener('open', () => onState('open'));
    stream.addEventListener('error', () => {
      onState('lost');
      // After an answer that is no stream (503, 429) the browser never tries again by itself.
      if (stream.readyState === EventSource.CLOSED) opening = setTimeout(open, openAgainAfterMs);
    });
    stream.addEventListener('reset', () => {
      bunch = bunch.filter(({ type }) => type !== 'item.changed');
      onReset();
    });
    for (const type of eventTypes)
      stream.addEventListener(type, ({ data }: MessageEvent<string>) => take(JSON.parse(data) as BatonEvent));
  }

  open();
  return () => {
    onState('lost');
    open();
  };
}
