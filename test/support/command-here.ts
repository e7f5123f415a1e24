// `baton` in the test's own process, which has loaded its modules already: the command line but for its first file, which
// test/unit/command-line starts as a process. One at a time.
import { vi } from 'vitest';
import { runCommand } from '../../emulator/program.ts';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `env`: all of its variables. */
export async function commandHere(
  words: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ended> {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
      return true;
    }),
  );
  const before = process.env;
  process.env = env;
  try {
    return { code: await runCommand(words), ...said };
  } finally {
    process.env = before;
    for (const spy of spies) spy.mockRestore();
  }
}
