// Requests the way a site asks for them: robots.txt first, one request at a time per host with its delay,
// Retry-After obeyed, a host that does not answer left alone for the rest of the crawl.
import { agentToken, readRobots, robotsBytesMax, type Robots } from './robots.ts';
import type { Fetched, PageFetcher, Validators } from './fetch-page.ts';

export type Visited =
  | Exclude<Fetched, { kind: 'wait' }>
  /** robots.txt says no. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The site wants us back after the time of this run. */
  | { readonly kind: 'postponed'; readonly reason: string };

const triesMax = 3;
const silencesMax = 4; // Each costs up to 20 s; after this many in a row a host counts as down.

export function createPoliteSite({
  fetcher,
  requestEveryMs,
  deadline,
}: {
  fetcher: PageFetcher;
  requestEveryMs: number;
  /** performance.now(); no request starts after it. */
  deadline: number;
}) {
  const robotsByOrigin = new Map<string, Robots>();
  const nextAt = new Map<string, number>();
  const silences = new Map<string, number>();

  /** @returns false when the turn would come after the deadline. */
  async function takeTurn(origin: string): Promise<boolean> {
    const now = performance.now();
    const at = Math.max(now, nextAt.get(origin) ?? 0);
    if (at > deadline) return false;
    nextAt.set(origin, at + Math.max(requestEveryMs, robotsByOrigin.get(origin)?.crawlDelayMs ?? 0));
    if (at > now) await new Promise((resolve) => setTimeout(resolve, at - now));
    return true;
  }

  async function robotsOf(origin: string): Promise<Robots> {
    const known = robotsByOrigin.get(origin);
    if (known) return known;
    const url = `${origin}/robots.txt`;
    await takeTurn(origin);
    const answer = await fetcher.fetchPage({ url, anyText: true, bytesMax: robotsBytesMax });
    const robots = readRobots(url, robotsAnswer(answer));
    robotsByOrigin.set(origin, robots);
    return robots;
  }

  async function refusal(url: string): Promise<string | undefined> {
    const robots = await robotsOf(new URL(url).origin);
    if (robots.allows(url)) return undefined;
    return robots.refusal ?? `robots.txt forbids it to ${agentToken}`;
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
    const refused = await refusal(url);
    if (refused !== undefined) return { kind: 'refused', reason: refused };
    let reason = '';
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      if (!(await takeTurn(origin)))
        return { kind: 'postponed', reason: reason || `${origin} has to wait beyond this run` };
      const answer = await fetcher.fetchPage({ url, validators, refuses: refusal });
      if (answer.kind !== 'wait') {
        const silent = answer.kind === 'failed' && answer.unreachable;
        silences.set(origin, silent ? (silences.get(origin) ?? 0) + 1 : 0);
        return answer;
      }
      reason = `${answer.reason}, come back in ${Math.ceil(answer.afterMs / 1_000)} s`;
      nextAt.set(origin, performance.now() + answer.afterMs);
    }
    return { kind: 'failed', reason: `${reason}, after ${triesMax} tries`, unreachable: false };
  }
  return { visit };
}

function robotsAnswer(answer: Fetched): Parameters<typeof readRobots>[1] {
  if (answer.kind === 'page') return { kind: 'file', body: answer.body };
  if (answer.kind === 'gone') return { kind: 'missing' };
  if (answer.kind === 'not-modified')
    return { kind: 'unreachable', reason: 'HTTP 304 to an unconditional request' };
  // RFC 9309 section 2.3.1.3: every 4xx means that there is no file.
  return answer.kind === 'failed' && /^HTTP 4\d\d$/u.test(answer.reason)
    ? { kind: 'missing' }
    : { kind: 'unreachable', reason: answer.reason };
}
