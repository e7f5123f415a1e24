// A deploy that does not let anybody wait in vain: while CDK waits for CloudFormation, the tasks of the stage are looked
// at, and when one cannot start its reason is told and the waiting ends. CloudFormation goes on by itself and puts the
// version before back.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ECSClient } from '@aws-sdk/client-ecs';
import { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';
import { placeholdersIn } from './placeholders.ts';
import { runCdk } from './run-cdk.ts';
import { findTrouble, readServices } from './trouble.ts';

/** A task takes a minute or two to fail, so its second failure is known well within ten. */
const lookEveryMs = 10_000;

export async function deploy(
  stage: AwsStage,
  /** `program` is another CDK than the pinned one: in tests. */
  { ecs, everyMs = lookEveryMs, program }: { ecs: ECSClient; everyMs?: number; program?: string },
): Promise<number> {
  const placeholders = placeholdersIn(stage);
  if (placeholders.length > 0) {
    process.stderr.write(
      `cdk.json, stage ${stage.name}, still has what it was shipped with: ${placeholders.join(', ')}. Fill in your own: docs/aws.md, "From zero to a running system"\n`,
    );
    return 1;
  }
  const since = new Date();
  process.stdout.write(
    `Deploys all stacks of ${stage.name} and asks nothing. What would change: npm run aws -- diff --stage ${stage.name}\n`,
  );
  // CDK would ask at each stack that opens something, an hour long, and fail where there is no terminal.
  const args = ['deploy', '--all', '--concurrency', '1', '--require-approval', 'never'];
  const cdk = runCdk(args, stage, program);
  const done = new AbortController();
  const watching = watch();
  try {
    return await Promise.race([cdk.ended, watching]);
  } finally {
    done.abort();
    cdk.stop();
  }

  /** Resolves when a task cannot start, and never otherwise. */
  async function watch(): Promise<number> {
    const names = new Names(stage);
    for (;;) {
      if (!(await pause())) return await cdk.ended;
      // A look that fails says nothing about the deploy; the next one follows.
      const services = await readServices(ecs, names.cluster).catch(() => []);
      const trouble = findTrouble(services, { since, now: new Date() });
      if (!trouble) continue;
      process.stderr.write(
        `\n${trouble.service} cannot start: ${trouble.reason}\n` +
          `Its last words: aws logs tail ${names.logGroup(trouble.service === 'ftp' ? 'ftp' : 'nodes')} --since 15m --log-stream-name-prefix ${trouble.service}\n` +
          'CloudFormation goes on and puts the version before back; deploy again when it has ended.\n',
      );
      return 1;
    }
  }
  /** False when the deploy has ended meanwhile. */
  async function pause(): Promise<boolean> {
    return await sleep(everyMs, true, { signal: done.signal }).catch(() => false);
  }
}
