// Runs nodes/recover.ts in a node's place: with its environment, as a short process of its own.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Service } from '../service.ts';

const run = promisify(execFile);
const module = fileURLToPath(new URL('../../nodes/recover.ts', import.meta.url));
const withinMs = 30_000;

/** @returns what it says to people, and the line it logs once it is done. @throws Error with the reason of a refusal. */
export async function runRecovery(
  { command }: Service,
  { by, yes }: { by: string; yes: boolean },
): Promise<{ text: string; line: string }> {
  const args = ['--disable-warning=ExperimentalWarning', module, `--as=${by}`, yes ? '--yes' : '--dry-run'];
  try {
    const { stdout, stderr } = await run(command.file, args, { env: command.env, timeout: withinMs });
    return { text: stderr.trimEnd(), line: stdout.trim() };
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string };
    throw new Error(stderr.trim() || `it took more than ${withinMs / 1_000} s`, { cause });
  }
}
