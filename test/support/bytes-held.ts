// The bytes of buffers that somebody still needs: what nobody needs any more is collected first.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

export function bytesHeld(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}
