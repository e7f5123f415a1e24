// Tells who listens instead of looking: a change of leader, of the connection or of how much is wrong, politely, at most one
// every 3 s.
// Never reads out the stream of items, which would never end.
import { effect, signal } from '@preact/signals';
import type { ClusterView } from '../../contracts/public-api.ts';
import { leadershipText } from './standing.ts';
import { cluster, connection, health, type Connection } from './state.ts';

const everyMs = 3_000;
const said = signal('');

export function startSpeaking(): void {
  let pending = '';
  let quiet = 0;
  const say = () => {
    said.value = pending;
    quiet = setTimeout(() => {
      quiet = 0;
      if (said.peek() !== pending) say();
    }, everyMs);
  };
  effect(() => {
    const text = textOf(connection.value, cluster.value.value, health.value.value?.problems.length ?? 0);
    if (text === undefined || text === pending) return;
    // The latest counts: what is overtaken within the gap is not worth an interruption.
    pending = text;
    if (quiet === 0) say();
  });
}

function textOf(state: Connection, view: ClusterView | undefined, problems: number): string | undefined {
  switch (state) {
    case 'connecting':
      return undefined;
    case 'live':
      return view && leadershipText(view) + problemsText(problems);
    case 'reconnecting':
      return 'The connection to this node is lost. Reconnecting.';
  }
}

/** How many alone: their words hold numbers that change all the time. */
function problemsText(count: number): string {
  if (count === 0) return '';
  return count === 1 ? ' There is a problem.' : ` There are ${count} problems.`;
}

export function SpokenStatus() {
  return (
    <p class="unseen" role="status">
      {said}
    </p>
  );
}
