// Runs nodes/recover.ts in a node's place: with its environment, as a short process of its own. Says yes only when told to.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Service } from '../service.ts';

const run = promisify(execFile);
const module = fileURLToPath(new URL('../../nodes/recover.ts', import.meta.url));
const withinMs = 30_000;
const wantsYes = 3; // See nodes/recover.ts.

export interface RecoveryRun {
  /** For people. */
  readonly text: string;
  /** What it logged: the event, once it is done. */
  readonly line: string;
}

/** @throws Error with the reason of a refusal. */
export async function runRecovery(
  { command }: Service,
  { by, yes }: { by: string; yes: boolean },
): Promise<RecoveryRun> {
  const args = ['--disable-warning=ExperimentalWarning', module, `--as=${by}`, ...(yes ? ['--yes'] : [])];
  try {
    const { stdout, stderr } = await run(command.file, args, { env: command.env, timeout: withinMs });
    return { text: stderr, line: stdout.trim() };
  } catch (cause) {
    const { code, stderr = '' } = cause as { code?: unknown; stderr?: string };
    if (code === wantsYes && !yes) return { text: stderr, line: '' };
    throw new Error(stderr.trim() || `it took more than ${withinMs / 1_000} s`, { cause });
  }
}
