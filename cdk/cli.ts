// `npm run aws -- diff|deploy|outputs|smoke|destroy --stage <stage>`: the pinned CDK, and around it what a person needs:
// addresses, the reason when a task cannot start, a check of the whole, what is left over at the end. `destroy` asks once, and so
// does `deploy` of a stage that keeps its data.
// Exit codes: 0 ok, 1 failed, 2 usage, 4 nothing was done for want of a yes.
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { ECSClient } from '@aws-sdk/client-ecs';
import { Command, CommanderError } from 'commander';
import { deploy } from './command/deploy.ts';
import { destroy } from './command/destroy.ts';
import { describeOutputs, readOutputs } from './command/outputs.ts';
import { runCdk } from './command/run-cdk.ts';
import { smoke } from './command/smoke.ts';
import { readAwsStage } from './cdk-json.ts';
import type { AwsStage } from './stage.ts';

function createProgram(finish: (code: number) => void): Command {
  const program = new Command('aws').description('Baton on AWS: see docs/aws.md').exitOverride();
  const command = (
    name: string,
    about: string,
    run: (stage: AwsStage, options: { yes?: boolean }) => Promise<number>,
  ) =>
    program
      .command(name)
      .description(about)
      .requiredOption('--stage <stage>', 'of cdk.json')
      .action(async ({ stage, ...options }: { stage: string; yes?: boolean }) =>
        finish(await run(readAwsStage(stage), options)),
      );
  const cloudFormation = new CloudFormationClient({ maxAttempts: 3 });

  command('diff', 'what a deploy would change', (stage) => runCdk(['diff'], stage).ended);
  command('deploy', 'all stacks in their order', async (stage, { yes }) => {
    const code = await deploy(stage, {
      ecs: new ECSClient({ maxAttempts: 3 }),
      ...(yes ? { agreed: true } : {}),
    });
    if (code === 0) process.stdout.write(describeOutputs(stage, await readOutputs(stage, cloudFormation)));
    return code;
  }).option('--yes', 'ask nothing, also of a stage that keeps its data');
  command('outputs', 'addresses, dashboard, cost', async (stage) => {
    process.stdout.write(describeOutputs(stage, await readOutputs(stage, cloudFormation)));
    return 0;
  });
  command('smoke', 'does the whole answer?', async (stage) =>
    smoke(await readOutputs(stage, cloudFormation)),
  );
  command('destroy', 'take it down', (stage) => destroy(stage));
  return program;
}

try {
  await createProgram((code) => (process.exitCode = code)).parseAsync();
} catch (error) {
  // Commander has said it already.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
