// What a site allows us, RFC 9309: rules for our agent, and Crawl-delay where it states one. Pure.
import robotsModule from 'robots-parser';

// Its types describe an ES module, but it is CommonJS: what is imported is the function itself.
const robotsParser = robotsModule as unknown as typeof robotsModule.default;

export const agentToken = 'BatonBot';
/** `contact`: where a shop asks who reads it, as a URL. */
export function userAgent(contact: string | undefined): string {
  const about = [...(contact === undefined ? [] : [`+${contact}`]), 'catalogue monitor', 'obeys robots.txt'];
  return `${agentToken}/1.0 (${about.join('; ')})`;
}
/** RFC 9309 section 2.5 asks for at least 500 KiB to be read. */
export const robotsBytesMax = 512 * 1024;
const crawlDelayMsMax = 60_000; // A longer wish would hold a crawl's lease for hours.

export interface Robots {
  allows(url: string): boolean;
  /** Least time between two requests, 0 when none is asked for. */
  readonly crawlDelayMs: number;
  /** Why everything is refused, when robots.txt could not be had. */
  readonly refusal: string | undefined;
}

/** Section 2.3.1: a file that is missing (4xx) allows all, one that cannot be reached (5xx, network) refuses all. */
export function readRobots(
  url: string,
  answer: { kind: 'file'; body: string } | { kind: 'missing' } | { kind: 'unreachable'; reason: string },
): Robots {
  if (answer.kind === 'missing') return { allows: () => true, crawlDelayMs: 0, refusal: undefined };
  if (answer.kind === 'unreachable') {
    const refusal = `robots.txt cannot be read (${answer.reason}), so nothing of this site may be fetched`;
    return { allows: () => false, crawlDelayMs: 0, refusal };
  }
  const rules = robotsParser(url, answer.body);
  const delay = rules.getCrawlDelay(agentToken) ?? 0;
  return {
    allows: (page) => rules.isAllowed(page, agentToken) !== false,
    crawlDelayMs: Number.isFinite(delay) ? Math.min(Math.max(delay, 0) * 1_000, crawlDelayMsMax) : 0,
    refusal: undefined,
  };
}
