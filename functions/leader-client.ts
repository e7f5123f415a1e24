// Calls to whoever leads: finds the leader, follows hints, waits while there is none, and gives up at the caller's
// deadline with the last failure. Connects to members of the cluster only: the hosts of BATON_NODE_URLS and of the
// cluster's own directory entry. A hint that names another host is not followed, so a forged answer leads nowhere.
import type { Readable } from 'node:stream';
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
import { backOffMs, pause } from '../runtime/waiting.ts';
import { Candidates } from './leader-candidates.ts';
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

const backOff = { firstMs: 50, msMax: 1_000 }; // An election takes tens of milliseconds when its leader's process died.
const tryMsMin = 100; // With less time left another try only hides why the ones before it failed.
const busyWaitMsMax = 5_000;

type Send<T> = (http: InternalClient, origin: string, what: InternalRequest) => Promise<T>;
type Outcome<T> =
  { readonly kind: 'answered'; readonly answer: T } | { readonly kind: 'failed'; readonly failure: Failure };

/** Deadlines are in performance.now() milliseconds. */
export class LeaderClient {
  readonly #environment: LeaderEnvironment;
  readonly #secrets: Secrets;
  readonly #directory: Pick<LeaderDirectory, 'read' | 'close'>;
  readonly #nodeOrigins: readonly string[];
  /** Believed until then without asking the directory; being wrong costs one 421. */
  #known: { readonly origin: string; readonly until: number } | undefined;
  #nextNode = 0;
  #client: { readonly tls: TlsMaterial; readonly http: InternalClient } | undefined;

  constructor(
    environment: LeaderEnvironment,
    secrets: Secrets,
    directory: Pick<LeaderDirectory, 'read' | 'close'> = openLeaderDirectory({
      table: environment.BATON_DIRECTORY_TABLE,
      region: environment.AWS_REGION,
    }),
  ) {
    this.#environment = environment;
    this.#secrets = secrets;
    this.#directory = directory;
    this.#nodeOrigins = environment.BATON_NODE_URLS.map((url) => new URL(url).origin);
  }

  /** @returns a 2xx answer. @throws Failure: at once when waiting cannot help, else the last one at the deadline. */
  call(what: InternalRequest, { deadline }: { deadline: number }): Promise<InternalAnswer> {
    return this.#inRounds(what, deadline, (http, origin, bounded) => http.call(origin, bounded));
  }

  /** A streamed answer; only its beginning is tried again. */
  download(what: InternalRequest, { deadline }: { deadline: number }): Promise<Readable> {
    return this.#inRounds(what, deadline, (http, origin, bounded) => http.download(origin, bounded));
  }

  async close(): Promise<void> {
    this.#directory.close();
    const last = this.#client;
    this.#client = undefined;
    await last?.http.close();
  }

  async #inRounds<T>(what: InternalRequest, deadline: number, send: Send<T>): Promise<T> {
    let last = new Failure('NO_LEADER', `${what.method} ${what.path}: no time left to look for the leader`);
    let tries = 0;
    for (let round = 1; performance.now() < deadline; round++) {
      const candidates = await this.#candidates();
      let waitMs = 0;
      for (let origin = candidates.next(); origin !== undefined; origin = candidates.next()) {
        const timeoutMs = Math.floor(Math.min(what.timeoutMs, deadline - performance.now()));
        if (timeoutMs < (tries === 0 ? 1 : tryMsMin)) throw last;
        tries += 1;
        const outcome = await this.#ask(origin, { ...what, timeoutMs }, send);
        if (outcome.kind === 'answered') return outcome.answer;
        last = outcome.failure;
        const verdict = judge(last, what);
        if (verdict.kind === 'throw') throw last;
        if (verdict.kind === 'wait') {
          waitMs = verdict.ms;
          break;
        }
        if (this.#known?.origin === origin) this.#known = undefined;
        last = candidates.follow(verdict.hint, last) ?? last;
      }
      const pauseMs = Math.max(waitMs, backOffMs(backOff, round) * (0.5 + Math.random() / 2));
      if (performance.now() + pauseMs + tryMsMin > deadline) break;
      await pause(pauseMs);
    }
    throw last;
  }

  async #ask<T>(origin: string, what: InternalRequest, send: Send<T>): Promise<Outcome<T>> {
    const http = await this.#currentClient();
    try {
      const answer = await send(http, origin, what);
      this.#known = { origin, until: performance.now() + announcementValidityMs };
      return { kind: 'answered', answer };
    } catch (error) {
      if (error instanceof Failure) return { kind: 'failed', failure: error };
      // An answer that broke off: whether it happened is not known.
      const failure = new Failure('INTERNAL', `${what.method} ${origin}${what.path}`, { cause: error });
      return { kind: 'failed', failure };
    }
  }

  async #candidates(): Promise<Candidates> {
    const members = new Set(this.#nodeOrigins);
    const known = this.#known;
    const first = known && performance.now() < known.until ? known.origin : await this.#announcedOrigin();
    if (first !== undefined) members.add(first);
    // Begins with another node each time, so that one that hangs does not slow down every search.
    const turned = [
      ...this.#nodeOrigins.slice(this.#nextNode),
      ...this.#nodeOrigins.slice(0, this.#nextNode),
    ];
    this.#nextNode = (this.#nextNode + 1) % this.#nodeOrigins.length;
    const others = turned.filter((origin) => origin !== first);
    return new Candidates(first === undefined ? others : [first, ...others], members);
  }

  async #announcedOrigin(): Promise<string | undefined> {
    try {
      const nowMs = Date.now();
      const entry = believable(await this.#directory.read(this.#environment.BATON_CLUSTER), nowMs);
      if (!entry || new URL(entry.internalUrl).protocol !== 'https:') return undefined;
      const { origin } = new URL(entry.internalUrl);
      this.#known = { origin, until: performance.now() + entry.validUntilMs - nowMs };
      return origin;
    } catch {
      return undefined; // The nodes know it too: the directory only saves a question.
    }
  }

  /** One pool of connections, made anew when certificates were renewed. */
  async #currentClient(): Promise<InternalClient> {
    const { BATON_TLS_CA_URI, BATON_TLS_CERT_URI, BATON_TLS_KEY_URI } = this.#environment;
    const [ca, cert, key] = await Promise.all([
      this.#secrets.text(BATON_TLS_CA_URI),
      this.#secrets.text(BATON_TLS_CERT_URI),
      this.#secrets.text(BATON_TLS_KEY_URI),
    ]);
    const last = this.#client;
    if (last && last.tls.ca === ca && last.tls.cert === cert && last.tls.key === key) return last.http;
    const tls = { ca, cert, key };
    const http = createInternalClient(tls);
    this.#client = { tls, http };
    // Ends when its last answer is in; whoever waits for that has its own error.
    last?.http.close().catch(() => undefined);
    return http;
  }
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
