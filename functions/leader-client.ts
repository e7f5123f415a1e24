// Calls to whoever leads: finds the leader, follows hints, waits while there is none, and gives up at the caller's
// deadline with the last failure. Connects to members of the cluster only: the hosts of BATON_NODE_URLS and of the
// cluster's own directory entry. A hint that names another host is not followed, so a forged answer leads nowhere.
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { announcementValidityMs } from '../contracts/announcement.ts';
import type { Environment } from '../contracts/environment.ts';
import { leaderHintSchema } from '../contracts/node-api.ts';
import { Failure } from '../runtime/failure.ts';
import {
  createInternalClient,
  type InternalAnswer,
  type InternalClient,
  type InternalRequest,
  type TlsMaterial,
} from '../runtime/internal-http.ts';
import type { Secrets } from '../runtime/secrets.ts';
import { believable, openLeaderDirectory, type LeaderDirectory } from './leader-directory.ts';

export type LeaderEnvironment = Pick<
  Environment<'deliver'>,
  | 'BATON_CLUSTER'
  | 'BATON_NODE_URLS'
  | 'BATON_DIRECTORY_TABLE'
  | 'AWS_REGION'
  | 'BATON_TLS_CA_URI'
  | 'BATON_TLS_CERT_URI'
  | 'BATON_TLS_KEY_URI'
>;

/** Deadlines are in performance.now() milliseconds. */
export interface LeaderClient {
  /** @returns a 2xx answer. @throws Failure: at once when waiting cannot help, else the last one at the deadline. */
  call(what: InternalRequest, options: { deadline: number }): Promise<InternalAnswer>;
  /** A streamed answer; only its beginning is tried again. */
  download(what: InternalRequest, options: { deadline: number }): Promise<Readable>;
  close(): Promise<void>;
}

const hintsPerRoundMax = 2;
const backOffMsMin = 50; // An election takes tens of milliseconds when its leader's process died.
const backOffMsMax = 1_000;
const tryMsMin = 100; // With less time left another try only hides why the ones before it failed.
const busyWaitMsMax = 5_000;

export function createLeaderClient(
  environment: LeaderEnvironment,
  secrets: Secrets,
  directory: Pick<LeaderDirectory, 'read' | 'close'> = openLeaderDirectory({
    table: environment.BATON_DIRECTORY_TABLE,
    region: environment.AWS_REGION,
  }),
): LeaderClient {
  const nodeOrigins = environment.BATON_NODE_URLS.map((url) => new URL(url).origin);
  /** Believed until then without asking the directory; being wrong costs one 421. */
  let known: { origin: string; until: number } | undefined;
  let nextNode = 0;
  let client: { tls: TlsMaterial; http: InternalClient } | undefined;

  async function inRounds<T>(
    what: InternalRequest,
    deadline: number,
    send: (http: InternalClient, origin: string, what: InternalRequest) => Promise<T>,
  ): Promise<T> {
    let last = new Failure('NO_LEADER', `${what.method} ${what.path}: no time left to look for the leader`);
    let tries = 0;
    for (let round = 0; performance.now() < deadline; round++) {
      const { origins, members } = await candidates();
      let hintsLeft = hintsPerRoundMax;
      let waitMs = 0;
      for (let origin = origins.shift(); origin !== undefined; origin = origins.shift()) {
        const timeoutMs = Math.floor(Math.min(what.timeoutMs, deadline - performance.now()));
        if (timeoutMs < (tries === 0 ? 1 : tryMsMin)) throw last;
        tries += 1;
        const http = await currentClient();
        try {
          const answer = await send(http, origin, { ...what, timeoutMs });
          known = { origin, until: performance.now() + announcementValidityMs };
          return answer;
        } catch (error) {
          // Anything else than a Failure is an answer that broke off: whether it happened is not known.
          const failure =
            error instanceof Failure
              ? error
              : new Failure('INTERNAL', `${what.method} ${origin}${what.path}`, { cause: error });
          const verdict = judge(failure, what);
          if (verdict.kind === 'throw') throw failure;
          last = failure;
          if (verdict.kind === 'wait') {
            waitMs = verdict.ms;
            break;
          }
          if (known?.origin === origin) known = undefined;
          const hinted = verdict.hint !== undefined && hintsLeft > 0 ? verdict.hint : undefined;
          if (hinted === undefined || hinted === origin) continue;
          if (!members.has(hinted)) {
            last = new Failure('NOT_LEADER', `${origin} names ${hinted} as leader, which is no member`, {
              cause: failure,
            });
            continue;
          }
          hintsLeft -= 1;
          origins.splice(0, origins.length, hinted, ...origins.filter((other) => other !== hinted));
        }
      }
      const backOffMs = Math.min(backOffMsMax, backOffMsMin * 2 ** round) * (0.5 + Math.random() / 2);
      const sleepMs = Math.max(backOffMs, waitMs);
      if (performance.now() + sleepMs + tryMsMin > deadline) break;
      await sleep(sleepMs);
    }
    throw last;
  }

  /** Whom to ask in this round, the likeliest first, and which hosts a hint may name. */
  async function candidates(): Promise<{ origins: string[]; members: ReadonlySet<string> }> {
    const members = new Set(nodeOrigins);
    const first = known && performance.now() < known.until ? known.origin : await announcedOrigin();
    if (first !== undefined) members.add(first);
    // Begins with another node each time, so that one that hangs does not slow down every search.
    const turned = [...nodeOrigins.slice(nextNode), ...nodeOrigins.slice(0, nextNode)];
    nextNode = (nextNode + 1) % nodeOrigins.length;
    const others = turned.filter((origin) => origin !== first);
    return { origins: first === undefined ? others : [first, ...others], members };
  }

  async function announcedOrigin(): Promise<string | undefined> {
    try {
      const nowMs = Date.now();
      const entry = believable(await directory.read(environment.BATON_CLUSTER), nowMs);
      if (!entry || new URL(entry.internalUrl).protocol !== 'https:') return undefined;
      const { origin } = new URL(entry.internalUrl);
      known = { origin, until: performance.now() + entry.validUntilMs - nowMs };
      return origin;
    } catch {
      return undefined; // The nodes know it too: the directory only saves a question.
    }
  }

  /** One pool of connections, made anew when certificates were renewed. */
  async function currentClient(): Promise<InternalClient> {
    const [ca, cert, key] = await Promise.all([
      secrets.text(environment.BATON_TLS_CA_URI),
      secrets.text(environment.BATON_TLS_CERT_URI),
      secrets.text(environment.BATON_TLS_KEY_URI),
    ]);
    if (client && client.tls.ca === ca && client.tls.cert === cert && client.tls.key === key)
      return client.http;
    const outdated = client;
    const tls = { ca, cert, key };
    client = { tls, http: createInternalClient(tls) };
    // Ends when its last answer is in; whoever waits for that has its own error.
    outdated?.http.close().catch(() => undefined);
    return client.http;
  }

  return {
    call: (what, { deadline }) =>
      inRounds(what, deadline, (http, origin, bounded) => http.call(origin, bounded)),
    download: (what, { deadline }) =>
      inRounds(what, deadline, (http, origin, bounded) => http.download(origin, bounded)),
    async close() {
      directory.close();
      const last = client;
      client = undefined;
      await last?.http.close();
    },
  };
}

type Verdict =
  | { kind: 'throw' }
  /** The leader itself asks for patience: nobody else could help. */
  | { kind: 'wait'; ms: number }
  | { kind: 'ask-others'; hint: string | undefined };

function judge(failure: Failure, what: InternalRequest): Verdict {
  switch (failure.code) {
    case 'NOT_LEADER':
    case 'STALE_TERM':
    case 'NO_LEADER':
      return { kind: 'ask-others', hint: hintedOrigin(failure) };
    case 'BUSY':
    case 'DATABASE_UNAVAILABLE':
    case 'DATABASE_TIMEOUT':
      return { kind: 'wait', ms: Math.min(busyWaitMsMax, Number(failure.details['retryAfterMs']) || 0) };
    case 'INTERNAL':
      // A body of ours that broke off is not the leader's fault and breaks off again.
      if (what.body !== undefined && brokeInside(failure)) return { kind: 'throw' };
      return { kind: 'ask-others', hint: undefined };
    default:
      return { kind: 'throw' };
  }
}

function hintedOrigin(failure: Failure): string | undefined {
  const hint = leaderHintSchema.safeParse(failure.details['leader']).data;
  return hint && new URL(hint.internalUrl).origin;
}

function brokeInside(failure: Failure): boolean {
  for (let cause: unknown = failure.cause; cause instanceof Error; cause = cause.cause)
    if (cause instanceof Failure) return true;
  return false;
}
