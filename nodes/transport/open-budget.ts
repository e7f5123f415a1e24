// Bounds what forged datagrams may cost: each failed open takes one token of its source, and a source that
// never sent anything authentic shares one more bucket with all such sources. Authentic ones are free.
// Never trusts a source: addresses of UDP can be forged, so a budget only ever refuses early.

const sourcesMax = 256;
/** A failed open costs about 20 us, so these are 10 % and 5 % of one core. */
const provenPerSecond = 5_000;
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
  readonly #proven = new Map<string, Bucket>();
  #strangers: Bucket | undefined;

  allows(source: string, now: number): boolean {
    return this.#bucketOf(source, now).hasToken(now);
  }

  opened(source: string, now: number): void {
    const bucket = this.#proven.get(source) ?? new Bucket({ perSecond: provenPerSecond, now });
    // Most recently proven last, so that the one forgotten is the one longest silent.
    this.#proven.delete(source);
    this.#proven.set(source, bucket);
    if (this.#proven.size > sourcesMax) {
      const oldest = this.#proven.keys().next();
      if (!oldest.done) this.#proven.delete(oldest.value);
    }
  }

  failed(source: string, now: number): void {
    this.#bucketOf(source, now).take();
  }

  #bucketOf(source: string, now: number): Bucket {
    this.#strangers ??= new Bucket({ perSecond: strangersPerSecond, now });
    return this.#proven.get(source) ?? this.#strangers;
  }
}
