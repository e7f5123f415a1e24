// Keeps a node that follows ready to write: what a first batch would have to wait for (a connection, a planned statement,
// code that was never run) is there before it leads. Never writes, and says nothing when the database is away: others do.
import { headers, routes, apiVersion, type BatchRequest } from '../contracts/node-api.ts';
import { newTraceparent } from '../runtime/trace.ts';
import type { LeadershipState } from './leadership.ts';
import type { Store } from './store.ts';

const rehearseEveryMs = 10_000; // Well within the time after which an idle connection is closed.
const firstAfterMs = 3_000; // A whole cluster that starts on one machine has its first leader by then.
const firstTimes = 20; // Code is compiled when it has run a few times.

export interface StandbyOptions {
  readonly leadership: { readonly state: LeadershipState };
  readonly store: Pick<Store, 'rehearse'>;
  /** The internal listener, asked without a connection: a follower refuses a batch before it asks the database. */
  readonly ask: (request: {
    method: 'POST';
    url: string;
    headers: Record<string, string>;
    payload: object;
  }) => Promise<unknown>;
}

export function standBy({ leadership, store, ask }: StandbyOptions) {
  const batch = () => {
    // An empty item: should this node lead by now, it is refused as malformed.
    const traceparent = newTraceparent();
    const payload: BatchRequest = {
      items: [{ messageId: 'rehearsal', traceparent, item: {} }],
      messages: [],
    };
    return {
      method: 'POST' as const,
      url: routes.batches,
      headers: { [headers.apiVersion]: String(apiVersion) },
      payload,
    };
  };
  let running = false;
  async function rehearse(times: number): Promise<void> {
    if (running) return;
    running = true;
    for (let time = 0; time < times && leadership.state.kind === 'following'; time++) {
      await ask(batch());
      await store.rehearse().catch(() => undefined);
    }
    running = false;
  }
  const first = setTimeout(() => void rehearse(firstTimes), firstAfterMs);
  const timer = setInterval(() => void rehearse(1), rehearseEveryMs);
  return {
    name: 'standby',
    close(): void {
      clearTimeout(first);
      clearInterval(timer);
    },
  };
}
