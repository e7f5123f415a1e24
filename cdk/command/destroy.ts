// Takes a stage down, and says what stays, also when something could not be deleted: then most of all it is asked.
import type { AwsStage } from '../stage.ts';
import { leftovers } from './leftovers.ts';
import { runCdk } from './run-cdk.ts';

/** `program` is another CDK than the pinned one: in tests. @returns its exit code. */
export async function destroy(stage: AwsStage, { program }: { program?: string } = {}): Promise<number> {
  const code = await runCdk(['destroy', '--all'], stage, program).ended;
  if (code !== 0)
    process.stderr.write(
      `\nNot all was deleted, for the reason above. Run it again when that is put right: what is gone is passed over.\n`,
    );
  process.stdout.write(leftovers(stage));
  return code;
}
