// A deploy that does not let anybody wait in vain: while CDK waits for CloudFormation, the tasks of the stage are looked
// at, and when one cannot start its reason is told and the waiting ends. CloudFormation goes on by itself and takes back what
// the deploy changed. A stage that keeps its data is asked about once, with what would change in sight.
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ECSClient } from '@aws-sdk/client-ecs';
import { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';
import { placeholdersIn } from './placeholders.ts';
import { runCdk } from './run-cdk.ts';
import { findTrouble, readServices } from './trouble.ts';

/** A task takes a minute or two to fail, so its second failure is known well within ten. */
const lookEveryMs = 10_000;
/** The exit code for want of a yes, as `baton` has it. */
const nothingDone = 4;

export async function deploy(
  stage: AwsStage,
  {
    ecs,
    agreed = !stage.retainData,
    everyMs = lookEveryMs,
    program,
    ask = askAtTerminal,
  }: {
    ecs: ECSClient;
    /** Whether somebody has said yes before. */
    agreed?: boolean;
    everyMs?: number;
    /** Another CDK than the pinned one: in tests. */
    program?: string;
    ask?: (question: string) => Promise<boolean>;
  },
): Promise<number> {
  const placeholders = placeholdersIn(stage);
  if (placeholders.length > 0) {
    process.stderr.write(
      `cdk.json, stage ${stage.name}, still has what it was shipped with: ${placeholders.join(', ')}. Fill in your own: docs/aws.md, "From zero to a running system"\n`,
    );
    return 1;
  }
  if (!agreed) {
    // It marks what is replaced, and lists first who may do more than before.
    const code = await runCdk(['diff'], stage, program).ended;
    if (code !== 0) return code;
    if (!(await ask(`Deploy this to ${stage.name}? [y/N] `))) {
      process.stderr.write('Nothing was deployed.\n');
      return nothingDone;
    }
  }
  const since = new Date();
  process.stdout.write(
    `Deploys all stacks of ${stage.name} and asks nothing more. What changes: npm run aws -- diff --stage ${stage.name}\n`,
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
          'CloudFormation goes on and takes back what this deploy changed; deploy again when it has ended.\n',
      );
      return 1;
    }
  }
  /** False when the deploy has ended meanwhile. */
  async function pause(): Promise<boolean> {
    return await sleep(everyMs, true, { signal: done.signal }).catch(() => false);
  }
}

async function askAtTerminal(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    process.stderr.write(
      `${question}\nThere is no terminal to answer at: look at the changes above, and say --yes\n`,
    );
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(?:es)?$/i.test((await terminal.question(question)).trim());
  } finally {
    terminal.close();
  }
}
