// The bytes of buffers that somebody still needs: what nobody needs any more is collected first.
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Buffers are freed on a thread of their own, which a busy machine lets wait: so it is asked until nothing more goes. */
export async function bytesHeld(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let looks = 0; looks < 5; looks++) {
    collectGarbage();
    await sleep(20);
    const { arrayBuffers } = process.memoryUsage();
    if (arrayBuffers < least) looks = 0;
    least = Math.min(least, arrayBuffers);
  }
  return least;
}
