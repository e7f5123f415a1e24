// Ends a run of a crawl that can go on later from what is stored: something beyond the shop is full, away or out of time,
// or the shop wants to be left alone for `waitMs`.
export class CrawlPaused extends Error {
  readonly waitMs: number;
  constructor(reason: string, waitMs = 0) {
    super(reason);
    this.name = 'CrawlPaused';
    this.waitMs = Math.ceil(waitMs);
  }
}
