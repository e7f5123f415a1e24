// Peers are packages of their own, installed for benchmarks alone. A benchmark goes on without them and says what is missing.
import { createRequire } from 'node:module';

export const howToInstall = 'npm ci --prefix bench/peers';

const requirePeer = createRequire(new URL('./package.json', import.meta.url));

/** Undefined when it is not installed. */
export function loadPeer(name: string): unknown {
  try {
    return requirePeer(name) as unknown;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
