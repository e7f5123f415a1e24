// Bounds what worthless datagrams may cost (forged ones, and authentic ones of a boot that proved nothing, which
// may be recordings): each takes a token of its source. The peers' own addresses and sources that sent something
// worth hearing have a bucket each, all others share one. What is heard is free.
// Never trusts a source: addresses of UDP can be forged, so a budget only ever refuses early.

const sourcesMax = 256;
/** An open costs about 20 us, so these are 10 % and 5 % of one core. */
const ownPerSecond = 5_000;
const strangersPerSecond = 2_500;
const burstS = 0.1;

class Bucket {
  readonly #perSecond: number;
  #tokens: number;
  #at: number;

  constructor({ perSecond, now }: { perSecond: number; now: number }) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond * burstS;
    this.#at = now;
  }

  hasToken(now: number): boolean {
    const capacity = this.#perSecond * burstS;
    this.#tokens = Math.min(capacity, this.#tokens + (Math.max(0, now - this.#at) / 1_000) * this.#perSecond);
    this.#at = now;
    return this.#tokens >= 1;
  }

  take(): void {
    this.#tokens -= 1;
  }
}

export class OpenBudget {
  readonly #peers: ReadonlySet<string>;
  readonly #own = new Map<string, Bucket>();
  #strangers: Bucket | undefined;

  /** @param peers sources that have a bucket of their own from the start. */
  constructor(peers: readonly string[]) {
    this.#peers = new Set(peers);
  }

  allows(source: string, now: number): boolean {
    return this.#bucketOf(source, now).hasToken(now);
  }

  heard(source: string, now: number): void {
    const bucket = this.#own.get(source) ?? new Bucket({ perSecond: ownPerSecond, now });
    // Most recently heard last, so that the one forgotten is the one longest silent.
    this.#own.delete(source);
    this.#own.set(source, bucket);
    if (this.#own.size > sourcesMax) {
      const oldest = this.#own.keys().next();
      if (!oldest.done) this.#own.delete(oldest.value);
    }
  }

  wasted(source: string, now: number): void {
    this.#bucketOf(source, now).take();
  }

  #bucketOf(source: string, now: number): Bucket {
    const own = this.#own.get(source);
    if (own) return own;
    if (this.#peers.has(source)) {
      const bucket = new Bucket({ perSecond: ownPerSecond, now });
      this.#own.set(source, bucket);
      return bucket;
    }
    this.#strangers ??= new Bucket({ perSecond: strangersPerSecond, now });
    return this.#strangers;
  }
}
