// A process that is waited for, within a bound. It leads a group of its own, so that nothing it started outlives the bound,
// or whoever waits.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
export interface RunProcessOptions {
  readonly withinMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** In order: a system that it started goes down. Then its group is killed. */
const endsWithinMs = 30_000;

/** Runs Node. @throws Error with what it said when it does not end in time. */
export async function runProcess(
  args: readonly string[],
  { withinMs, ...options }: RunProcessOptions,
): Promise<Ended> {
  const child = spawn(process.execPath, args, {
    ...options,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const end = (): void => void signalGroup(child.pid, 'SIGTERM');
  process.once('exit', end);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const over = new AbortController();
  try {
    const status = await Promise.race([
      once(child, 'close', { signal: over.signal }).then(([code]) => code as number | null),
      sleep(withinMs, 'late' as const, { signal: over.signal }),
    ]);
    if (status === 'late')
      throw new Error(`${args.join(' ')}: not within ${withinMs / 1_000} s\n${stdout}${stderr}`);
    return { status, stdout, stderr };
  } finally {
    over.abort();
    end();
    const deadline = performance.now() + endsWithinMs;
    while (signalGroup(child.pid, 0) && performance.now() < deadline) await sleep(50);
    signalGroup(child.pid, 'SIGKILL');
    process.off('exit', end);
  }
}

/** @returns whether anybody of it was left to hear it. */
function signalGroup(leader: number | undefined, signal: NodeJS.Signals | 0): boolean {
  try {
    return leader !== undefined && process.kill(-leader, signal);
  } catch {
    return false;
  }
}
