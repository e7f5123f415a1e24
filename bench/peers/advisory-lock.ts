// A leader by an advisory lock in PostgreSQL: whoever holds it leads, the others wait in line for it. What one gets without
// an election; it neither fences a frozen holder nor works while the database is away.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import type { RunningSystem } from '../../test/support/running-system.ts';

const holders = 3;
const script = fileURLToPath(new URL('./lock-holder.ts', import.meta.url));
const heldWithinMs = 10_000;
/** So that the others wait for the lock before its holder ends. */
const calmMs = 300;

/** From kill -9 of the holder to the next one's word that it holds the lock, ms. */
export async function measureLock(system: RunningSystem, rounds: number): Promise<number[]> {
  const { services } = await system.status();
  const address = services.find(({ kind }) => kind === 'database')?.address ?? '';
  const data = join(system.folder, '.baton');
  const line = new Line(() =>
    spawn(
      process.execPath,
      [script, address, join(data, 'tls', 'ca.pem'), join(data, 'secrets', 'database-password')],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    ),
  );
  const took: number[] = [];
  try {
    for (let count = 0; count < holders; count++) line.join();
    let held = await line.nextHolder();
    for (let turn = 0; turn < rounds; turn++) {
      line.join();
      await new Promise((resolve) => setTimeout(resolve, calmMs));
      const lostAt = performance.now();
      held.child.kill('SIGKILL');
      held = await line.nextHolder();
      took.push(held.at - lostAt);
    }
    return took;
  } finally {
    await line.close();
  }
}

interface Holder {
  readonly child: ChildProcess;
  /** performance.now() when it said that it holds the lock. */
  readonly at: number;
}

class Line {
  readonly #start: () => ChildProcess;
  readonly #children = new Set<ChildProcess>();
  readonly #held: Holder[] = [];
  #seen = 0;
  #wake = (): void => undefined;

  constructor(start: () => ChildProcess) {
    this.#start = start;
  }

  join(): void {
    const child = this.#start();
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', () => {
        this.#held.push({ child, at: performance.now() });
        this.#wake();
      });
  }

  async nextHolder(): Promise<Holder> {
    const index = this.#seen++;
    const late = AbortSignal.timeout(heldWithinMs);
    for (;;) {
      const holder = this.#held[index];
      if (holder) return holder;
      late.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  async close(): Promise<void> {
    const ended = [...this.#children].map((child) => once(child, 'exit'));
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(ended);
  }
}
