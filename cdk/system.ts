// All stacks of a stage, wired in the order of their lifetimes. Tests call it with stand-in zips.
import type { App } from 'aws-cdk-lib';
import { FunctionsStack, type Zips } from './functions-stack.ts';
import { Names } from './names.ts';
import type { LocalStage, Stage } from './stage.ts';

export function buildSystem(app: App, stage: Stage, { zips }: { zips: Zips }): void {
  const names = new Names(stage);
  if (stage.kind === 'local') buildLocal(app, stage, names, zips);
}

/** What an emulator can deploy; nodes, broker and servers run beside it as containers. */
function buildLocal(app: App, stage: LocalStage, names: Names, zips: Zips): void {
  const { nodeUrls, brokerUrl, ftpAddress, smtpAddress, endpoints } = stage;
  new FunctionsStack(app, names.stack('functions'), {
    stage,
    names,
    zips,
    addresses: { nodeUrls, brokerUrl, ftpAddress, smtpAddress, endpoints },
  });
}
