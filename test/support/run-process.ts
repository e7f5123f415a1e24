// A process that is waited for, within a bound. It leads a group of its own, so that nothing it started outlives the bound,
// or whoever waits.
import { spawn } from 'node:child_process';

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

/** For an end in order; then it is killed. */
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
  const signal = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // All of them have ended.
    }
  };
  const end = (): void => signal('SIGTERM');
  process.once('exit', end);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let late = false;
  const timers = [
    setTimeout(() => {
      late = true;
      end();
    }, withinMs),
    setTimeout(() => signal('SIGKILL'), withinMs + endsWithinMs),
  ];
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (late) throw new Error(`${args.join(' ')}: not within ${withinMs / 1_000} s\n${stdout}${stderr}`);
    return { status, stdout, stderr };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    process.off('exit', end);
    signal('SIGKILL');
  }
}
