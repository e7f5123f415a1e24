// From a publish to the row that others can read, at a steady rate. The moment of commit is seen from outside: the feed's
// ids are dense and in commit order, so its head, asked again and again, says when each became visible.
import type { BenchSystem } from './bench-system.ts';
import { pageMessage } from './item-messages.ts';

const lookEveryMs = 1;
const visibleWithinMs = 30_000;

/** Milliseconds of each message. */
export async function measureLatency(
  system: BenchSystem,
  {
    perSecond,
    seconds,
    intake,
    queue,
  }: {
    perSecond: number;
    seconds: number;
    intake: number;
    /** Another queue than the path's own. */
    queue?: string;
  },
): Promise<number[]> {
  const before = await headOf(system);
  const count = perSecond * seconds;
  /** When the head was first seen at this id or a later one. */
  const seen: { last: number; at: number }[] = [];
  const over = new AbortController();
  const watching = watchHead(system, seen, { until: before + count, over: over.signal });
  const publishedAt = new Map<string, number>();
  const began = performance.now();
  const publishing: Promise<void>[] = [];
  for (let page = 0; page < count; page++) {
    const dueAt = began + (page * 1_000) / perSecond;
    const waitMs = dueAt - performance.now();
    if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const message = pageMessage({ intake, page, itemsPerPage: 1 });
    // From when it was due: what waits behind a slow one waits, too.
    publishedAt.set(`sku-${page}`, dueAt);
    publishing.push(
      system.publisher.publish(
        queue === undefined ? message : { ...message, exchange: '', routingKey: queue },
      ),
    );
  }
  const timer = setTimeout(() => over.abort(), visibleWithinMs);
  try {
    await Promise.all(publishing);
    await watching;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
  const rows = await system.database.query<{ id: number; sku: string }>(
    'reading the feed',
    'SELECT id, sku FROM feed WHERE id > $1 ORDER BY id LIMIT $2',
    [before, count],
  );
  let look = 0;
  return rows.map(({ id, sku }) => {
    while ((seen[look]?.last ?? Infinity) < id) look += 1;
    return (seen[look]?.at ?? NaN) - (publishedAt.get(sku) ?? NaN);
  });
}

async function headOf({ database }: BenchSystem): Promise<number> {
  const [head] = await database.query<{ last: number }>('reading the head of the feed', {
    name: 'head',
    text: 'SELECT last FROM feed_head WHERE id = 1',
  });
  return head?.last ?? 0;
}

async function watchHead(
  system: BenchSystem,
  seen: { last: number; at: number }[],
  { until, over }: { until: number; over: AbortSignal },
): Promise<void> {
  for (;;) {
    const last = await headOf(system);
    if (last > (seen.at(-1)?.last ?? 0)) seen.push({ last, at: performance.now() });
    if (last >= until) return;
    if (over.aborted) throw new Error(`of ${until} changes ${last} were visible after ${visibleWithinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}
