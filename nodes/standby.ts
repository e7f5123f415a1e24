// Keeps a node that follows ready to write: what a first batch would have to wait for (a connection, a planned statement)
// is there before it leads. Never writes, and says nothing when the database is away: others do.
import type { LeadershipState } from './leadership.ts';
import type { Store } from './store.ts';

const rehearseEveryMs = 10_000; // Well within the time after which an idle connection is closed.

export function standBy({
  leadership,
  store,
}: {
  leadership: { readonly state: LeadershipState };
  store: Pick<Store, 'rehearse'>;
}) {
  const rehearse = (): void => {
    if (leadership.state.kind === 'following') store.rehearse().catch(() => undefined);
  };
  rehearse();
  const timer = setInterval(rehearse, rehearseEveryMs);
  return { name: 'standby', close: (): void => clearInterval(timer) };
}
