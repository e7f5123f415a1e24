// A stage of AWS by its name, out of cdk.json: for commands, which the CDK gives no context.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { readStage, type AwsStage } from './stage.ts';

const contextSchema = z.object({
  context: z.looseObject({ stages: z.record(z.string(), z.looseObject({ kind: z.string() })) }),
});

/** @throws Error naming what is wrong in cdk.json, or the stages there are. */
export function readAwsStage(name: string): AwsStage {
  const text = readFileSync(new URL('../cdk.json', import.meta.url), 'utf8');
  const { context } = contextSchema.parse(JSON.parse(text));
  const known = Object.entries(context.stages).flatMap(([stage, { kind }]) =>
    kind === 'aws' ? [stage] : [],
  );
  if (context.stages[name] === undefined)
    throw new Error(`cdk.json has no stage ${name}; on AWS there are ${known.join(', ')}`);
  const stage = readStage({ tryGetContext: (key) => (key === 'stage' ? name : context[key]) });
  if (stage.kind !== 'aws')
    throw new Error(
      `stage ${name} is of the emulators: npm run compose deploys it; on AWS there are ${known.join(', ')}`,
    );
  return stage;
}
