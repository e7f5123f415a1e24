// Runs nodes/recover.ts in a node's place: with its environment, as a short process of its own.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Service } from '../services/service.ts';

const run = promisify(execFile);
const module = fileURLToPath(new URL('../../nodes/recover.ts', import.meta.url));
const withinMs = 30_000;

/** @returns what it says to people, and the line it logs once it is done. @throws Error with the reason of a refusal. */
export async function runRecovery(
  { command }: Service,
  { by, yes }: { by: string; yes: boolean },
): Promise<{ text: string; line: string }> {
  const args = ['--disable-warning=ExperimentalWarning', module, `--as=${by}`, yes ? '--yes' : '--dry-run'];
  const ended = await run(command.file, args, { env: command.env, timeout: withinMs }).catch(
    // Its own words are the reason; the command line that Node would add says nothing more.
    ({ stderr = '' }: { stderr?: string }) => ({
      refused: stderr.trim() || `it took more than ${withinMs / 1_000} s`,
    }),
  );
  if ('refused' in ended) throw new Error(ended.refused);
  return { text: ended.stderr.trimEnd(), line: ended.stdout.trim() };
}
