// Keeps a node that follows ready to write: sends itself a batch, as a function would, and goes its way through the database
// up to the fence. What a first batch would have to wait for (a connection, a planned statement, code that was never run) is
// there before this node leads; and a listener that nobody could reach is noticed before it matters. Never writes.
import { routes, type BatchRequest } from '../../contracts/node-api.ts';
import { describeError } from '../../runtime/failure.ts';
import { createInternalClient, type InternalClient, type TlsMaterial } from '../../runtime/internal-http.ts';
import { oneAtATime } from '../../runtime/one-at-a-time.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import type { LeadershipView } from '../../contracts/public-api.ts';
import type { Problems } from './problems.ts';
import type { Store } from '../store.ts';

const standbyTimes = {
  firstAfterMs: 3_000, // A whole cluster that starts on one machine has its first leader by then.
  everyMs: 10_000, // Well within the time after which an idle connection is closed.
};
const firstTimes = 20; // Code is compiled when it has run a few times.
const answerWithinMs = 2_000;

export interface StandbyOptions {
  readonly leadership: { readonly state: LeadershipView };
  readonly store: Pick<Store, 'rehearse'>;
  /** The internal listener of this node, as others reach it. */
  readonly url: string;
  /** The material in use now: certificates are renewed. */
  readonly tls: () => TlsMaterial;
  readonly problems: Pick<Problems, 'say'>;
  readonly report: (error: unknown) => void;
  readonly firstAfterMs?: number;
  readonly everyMs?: number;
}

export function standBy(options: StandbyOptions) {
  const { leadership, store, url, tls, problems, report } = options;
  const { firstAfterMs = standbyTimes.firstAfterMs, everyMs = standbyTimes.everyMs } = options;
  let isDeaf = false;

  const look = oneAtATime(async (times: number) => {
    // A new one each time, so that the handshake is rehearsed too, and the certificate looked at.
    const client = createInternalClient(tls());
    try {
      await listen(client);
      for (let time = 0; time < times && leadership.state.kind === 'following'; time++)
        await rehearse(client);
      await client.close();
    } catch (error) {
      report(error); // Nothing here may end a node.
    }
  });

  async function listen(client: InternalClient): Promise<void> {
    const silence = await client
      .call(url, { method: 'GET', path: routes.term, timeoutMs: answerWithinMs })
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    problems.say(
      'listener',
      silence === undefined
        ? null
        : 'the internal listener of this node does not answer itself: while it leads, nobody can write',
    );
    // Once, until it answers again.
    if (silence !== undefined && !isDeaf)
      report(new Error(`this node gets no answer of itself at ${url}: ${describeError(silence)}`));
    isDeaf = silence !== undefined;
  }

  /** A follower refuses the batch, whatever is in it; when the database is away, others say so. */
  async function rehearse(client: InternalClient): Promise<void> {
    // An empty item: should this node lead by now, it is refused as malformed.
    const json: BatchRequest = {
      items: [{ messageId: 'rehearsal', traceparent: newTraceparent(), item: {} }],
      messages: [],
    };
    const request = { method: 'POST', path: routes.batches, json, timeoutMs: answerWithinMs } as const;
    await client.call(url, request).catch(() => undefined);
    await store.rehearse().catch(() => undefined);
  }

  const first = setTimeout(() => void look(firstTimes), firstAfterMs);
  const timer = setInterval(() => void look(1), everyMs);
  return {
    name: 'standby',
    close(): void {
      clearTimeout(first);
      clearInterval(timer);
    },
  };
}
