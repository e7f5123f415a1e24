// Takes a stopped cluster through the generations of a plan, one at a time. A change that was cut off is gone on with at
// the next start, since the folder names a generation before anything of it is done.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Layout } from './instance.ts';
import { nodeName, writeMembership, type MembershipPlan } from './membership.ts';

const run = promisify(execFile);
const module = fileURLToPath(new URL('../../nodes/enter-generation.ts', import.meta.url));
const stepWithinMs = 30_000;

/** The database runs, and no node does. @throws Error with the reason of the step that was refused. */
export async function changeMembership(
  { target, steps }: MembershipPlan,
  {
    layout,
    ...place
  }: {
    layout: Layout;
    cluster: string;
    databaseUrl: string;
    databasePasswordUri: string;
    databaseCaUri: string;
  },
): Promise<void> {
  for (const step of steps) {
    await writeMembership(layout, step, { settled: false });
    const voters = Array.from({ length: step.nodes }, (_, index) => nodeName(index));
    const settings = { ...place, generation: step.generation, voters, dataDir: layout.data('') };
    try {
      await run(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', module, JSON.stringify(settings)],
        { timeout: stepWithinMs },
      );
    } catch (error) {
      const { stderr = '' } = error as { stderr?: string };
      throw new Error(
        `the cluster cannot go to ${step.nodes} nodes (generation ${step.generation}): ${stderr.trim() || `it took more than ${stepWithinMs / 1000} s`}`,
        { cause: error },
      );
    }
  }
  await writeMembership(layout, target, { settled: true });
}
