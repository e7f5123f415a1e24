// Writes to the leader as fast as it answers, for benchmarks of what stands beside writes.
import { batchItemsMax, routes } from '../contracts/node-api.ts';
import type { BenchSystem } from './bench-system.ts';
import { entryOf, rate } from './pipeline-stages.ts';

const writesPerTurn = 10 * batchItemsMax;

/** Items that nobody has written before, in requests as large as the leader takes. */
export class Writer {
  readonly #system: BenchSystem;
  #ordinal = 0;

  constructor(system: BenchSystem) {
    this.#system = system;
  }

  /** Items a second. */
  async write(): Promise<number> {
    const { internalUrl } = await this.#system.leader();
    return await rate(writesPerTurn, async () => {
      for (let sent = 0; sent < writesPerTurn; sent += batchItemsMax)
        await this.post(internalUrl, batchItemsMax);
    });
  }

  async post(internalUrl: string, count: number): Promise<void> {
    const items = Array.from({ length: count }, () => entryOf(1, this.#ordinal++));
    await this.#system.http.call(internalUrl, {
      method: 'POST',
      path: routes.batches,
      json: { items },
      timeoutMs: 30_000,
    });
  }
}
