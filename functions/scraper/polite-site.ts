// Requests the way a site asks for them: robots.txt first, one request at a time per host with its delay,
// Retry-After obeyed, a host that does not answer left alone for the rest of the crawl. What would take long is not waited
// for here: whoever asked is told for how long, and may end.
import { pause } from '../../runtime/waiting.ts';
import { agentToken, readRobots, robotsBytesMax, type Robots } from './robots.ts';
import type { Fetched, FetchPageRequest, PageFetcher, Validators } from './fetch-page.ts';

export type Visited =
  | Exclude<Fetched, { kind: 'wait' }>
  /** robots.txt says no. */
  | { readonly kind: 'refused'; readonly reason: string }
  | Later;
/** Not now: our turn comes after the time of this run (`postponed`), or the site itself said so (`sent-away`). */
interface Later {
  readonly kind: 'postponed' | 'sent-away';
  readonly reason: string;
  readonly waitMs: number;
}

const triesMax = 3;
const waitInPlaceMsMax = 30_000; // A longer Retry-After would hold the time of this run, which other shops wait for.
const sentAwayMs = 5 * 60_000; // For a site that goes on saying so after the waits that it named.
const silencesMax = 4; // Each costs up to 20 s; after this many in a row a host counts as down.

export function createPoliteSite({
  fetcher,
  requestEveryMs,
  deadline,
}: {
  fetcher: PageFetcher;
  requestEveryMs: number;
  /** performance.now(); no request starts after it, or goes on. */
  deadline: number;
}) {
  const robotsByOrigin = new Map<string, Robots>();
  const nextAt = new Map<string, number>();
  const silences = new Map<string, number>();

  /** Time until the next turn at this page's site. */
  function waitMs(url: string): number {
    return Math.max(0, (nextAt.get(new URL(url).origin) ?? 0) - performance.now());
  }

  /** @returns false when the turn would come after the deadline. */
  async function takeTurn(origin: string): Promise<boolean> {
    const now = performance.now();
    const at = Math.max(now, nextAt.get(origin) ?? 0);
    if (at > deadline) return false;
    nextAt.set(origin, at + Math.max(requestEveryMs, robotsByOrigin.get(origin)?.crawlDelayMs ?? 0));
    if (at > now) await pause(at - now);
    return true;
  }

  /** Tried again where the site names a short wait. */
  async function fetchInTurn(what: FetchPageRequest): Promise<Exclude<Fetched, { kind: 'wait' }> | Later> {
    const { origin } = new URL(what.url);
    let reason = '';
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      if (!(await takeTurn(origin)))
        return {
          kind: 'postponed',
          reason: reason || `${origin} has to wait beyond this run`,
          waitMs: waitMs(origin),
        };
      const answer = await fetcher.fetchPage({ ...what, totalMs: deadline - performance.now() });
      // It may have failed for want of time alone, which says nothing about the page or its host.
      if (answer.kind === 'failed' && performance.now() >= deadline)
        return {
          kind: 'postponed',
          reason: `the time of this run is over: ${answer.reason}`,
          waitMs: waitMs(origin),
        };
      if (answer.kind !== 'wait') return answer;
      reason = `${answer.reason}, come back in ${Math.ceil(answer.afterMs / 1_000)} s`;
      nextAt.set(origin, Math.max(nextAt.get(origin) ?? 0, performance.now() + answer.afterMs));
      if (answer.afterMs > waitInPlaceMsMax) return { kind: 'sent-away', reason, waitMs: answer.afterMs };
    }
    // It is the site that is asked too often, so its other pages are not asked for either.
    nextAt.set(origin, performance.now() + sentAwayMs);
    return { kind: 'sent-away', reason: `${reason}, said ${triesMax} times`, waitMs: sentAwayMs };
  }

  async function robotsOf(origin: string): Promise<Robots | Later> {
    const known = robotsByOrigin.get(origin);
    if (known) return known;
    const url = `${origin}/robots.txt`;
    const answer = await fetchInTurn({ url, anyText: true, bytesMax: robotsBytesMax });
    if ('waitMs' in answer) return answer;
    const robots = readRobots(url, robotsAnswer(answer));
    robotsByOrigin.set(origin, robots);
    return robots;
  }

  function refusalOf(robots: Robots, url: string): string | undefined {
    if (robots.allows(url)) return undefined;
    return robots.refusal ?? `robots.txt forbids it to ${agentToken}`;
  }
  /** Why a redirect's target must not be fetched; undefined when it may. */
  async function refuses(url: string): Promise<string | undefined> {
    const robots = await robotsOf(new URL(url).origin);
    return 'waitMs' in robots ? `its robots.txt: ${robots.reason}` : refusalOf(robots, url);
  }

  async function visit({
    url,
    validators,
  }: {
    url: string;
    validators: Validators | undefined;
  }): Promise<Visited> {
    const { origin } = new URL(url);
    if ((silences.get(origin) ?? 0) >= silencesMax)
      return { kind: 'failed', reason: `${origin} did not answer ${silencesMax} times`, unreachable: true };
    const robots = await robotsOf(origin);
    if ('waitMs' in robots) return robots;
    const refused = refusalOf(robots, url);
    if (refused !== undefined) return { kind: 'refused', reason: refused };
    const answer = await fetchInTurn({ url, validators, refuses });
    if ('waitMs' in answer) return answer;
    const silent = answer.kind === 'failed' && answer.unreachable;
    silences.set(origin, silent ? (silences.get(origin) ?? 0) + 1 : 0);
    return answer;
  }
  return { visit, waitMs };
}
export type PoliteSite = ReturnType<typeof createPoliteSite>;

function robotsAnswer(answer: Exclude<Fetched, { kind: 'wait' }>): Parameters<typeof readRobots>[1] {
  if (answer.kind === 'page') return { kind: 'file', body: answer.body };
  if (answer.kind === 'gone') return { kind: 'missing' };
  if (answer.kind === 'not-modified')
    return { kind: 'unreachable', reason: 'HTTP 304 to an unconditional request' };
  // RFC 9309 section 2.3.1.3: every 4xx means that there is no file.
  return answer.kind === 'failed' && /^HTTP 4\d\d$/u.test(answer.reason)
    ? { kind: 'missing' }
    : { kind: 'unreachable', reason: answer.reason };
}
