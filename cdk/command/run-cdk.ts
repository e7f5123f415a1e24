// The CDK's command line, as package.json pins it: never one of that name from elsewhere.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { AwsStage } from '../stage.ts';

export interface RunningCdk {
  /** Its exit code; 1 for a signal. */
  readonly ended: Promise<number>;
  /** Stops waiting for CloudFormation, which goes on by itself. */
  stop(): void;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const pinned = fileURLToPath(new URL('../../node_modules/aws-cdk/bin/cdk', import.meta.url));

export function runCdk(
  args: readonly string[],
  stage: Pick<AwsStage, 'name'>,
  program: string = pinned,
): RunningCdk {
  const child = spawn(
    process.execPath,
    [program, ...args, '--context', `stage=${stage.name}`, '--no-notices'],
    { cwd: root, stdio: 'inherit' },
  );
  return {
    ended: new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 1));
    }),
    stop: () => void child.kill('SIGTERM'),
  };
}
