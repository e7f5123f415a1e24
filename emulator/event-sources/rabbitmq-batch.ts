// The next batch of a mapping, after AWS's rules: as many messages as its size and an invocation's bytes allow, when it is
// full or its window is over.
import { requestBytesMax } from '../lambda/limits.ts';
import type { Delivery, QueueFeed } from './rabbitmq-feed.ts';
import { recordsThatFit, type EventOrigin } from './rabbitmq-event-body.ts';

const lookAgainMs = 60_000;

/**
 * Empty when the feed is gone or `stopping` is aborted. `refuse`: no invocation can carry this one; it is in the buffer no
 * more.
 */
export async function takeBatch(
  feed: QueueFeed,
  {
    origin,
    batchSize,
    windowMs,
    stopping,
    refuse,
  }: {
    origin: EventOrigin;
    batchSize: number;
    windowMs: number;
    stopping: AbortSignal;
    refuse: (delivery: Delivery) => void;
  },
): Promise<Delivery[]> {
  let dueAt: number | undefined;
  for (;;) {
    if (feed.gone.aborted || stopping.aborted) return [];
    const first = feed.buffer[0];
    if (!first) {
      dueAt = undefined;
      await feed.changed(lookAgainMs, stopping);
      continue;
    }
    dueAt ??= performance.now() + windowMs;
    const count = recordsThatFit(
      origin,
      feed.buffer.map(({ bytes }) => bytes),
      { bytesMax: requestBytesMax, countMax: batchSize },
    );
    if (count === 0) {
      feed.buffer.shift();
      refuse(first);
      continue;
    }
    const waitMs = dueAt - performance.now();
    if (count === batchSize || count < feed.buffer.length || waitMs <= 0) return feed.buffer.splice(0, count);
    await feed.changed(waitMs, stopping);
  }
}
