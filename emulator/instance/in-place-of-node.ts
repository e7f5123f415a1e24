// Runs programs of nodes/ in a node's place: with its environment, as short processes of their own.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Service } from '../services/service.ts';

const run = promisify(execFile);
const at = (path: string): string => fileURLToPath(new URL(`../../nodes/${path}`, import.meta.url));
const withinMs = 30_000;

/** @returns what it says to people, and the line it logs once it is done. @throws Error with the reason of a refusal. */
export async function runRecovery(
  node: Service,
  { by, yes }: { by: string; yes: boolean },
): Promise<{ text: string; line: string }> {
  const { stdout, stderr } = await runInPlaceOf(node, 'recover.ts', [
    `--as=${by}`,
    yes ? '--yes' : '--dry-run',
  ]);
  return { text: stderr.trimEnd(), line: stdout.trim() };
}

/** Its rows, a line of JSON each. @throws Error with what the database says. */
export async function runStatement(node: Service, statement: string): Promise<string> {
  // A statement may begin with a dash, as a comment does.
  const { stdout } = await runInPlaceOf(node, 'sql.ts', ['--yes', '--', statement]);
  return stdout.trimEnd();
}

/** No node runs. @throws Error with what the database says. */
export async function settleRestored(node: Service): Promise<void> {
  await runInPlaceOf(node, 'sql.ts', ['--yes', '--file', at('database/restored.sql')]);
}

async function runInPlaceOf(
  { command }: Service,
  program: string,
  args: readonly string[],
): Promise<{ stdout: string; stderr: string }> {
  const words = ['--disable-warning=ExperimentalWarning', at(program), ...args];
  try {
    return await run(command.file, words, { env: command.env, timeout: withinMs });
  } catch (error) {
    // Its own words are the reason; the command line that Node would add says nothing more.
    const { stderr = '' } = error as { stderr?: string };
    throw new Error(stderr.trim() || `it took more than ${withinMs / 1_000} s`, { cause: error });
  }
}
