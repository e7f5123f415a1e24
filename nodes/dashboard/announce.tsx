// Tells who listens instead of looking: a change of leader or of the connection, politely, at most one every 3 s.
// Never reads out the stream of items, which would never end.
import { effect, signal } from '@preact/signals';
import { leadershipText } from './standing.ts';
import { cluster, connection } from './state.ts';

const everyMs = 3_000;
const said = signal('');

export function startAnnouncing(): void {
  let timer = 0;
  let pending = '';
  effect(() => {
    const view = cluster.value.value;
    const text =
      connection.value === 'live'
        ? view && leadershipText(view)
        : connection.value === 'reconnecting'
          ? 'The connection to this node is lost. Reconnecting.'
          : undefined;
    if (text === undefined || text === pending) return;
    pending = text;
    // The latest counts: what was overtaken meanwhile is not worth an interruption.
    timer ||= setTimeout(() => {
      timer = 0;
      said.value = pending;
    }, everyMs);
  });
}

export function Announcement() {
  return (
    <p class="unseen" role="status">
      {said}
    </p>
  );
}
