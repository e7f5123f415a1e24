// `baton node recover <node>`: a new vote file for a node that lost its own, when too few others are left to end its
// abstention. Shows what would be done, asks, and has the launcher do it while the node is stopped.
import type { Command } from 'commander';
import { agreed } from '../../runtime/agreed.ts';
import { tellLauncher } from '../launcher/ask-launcher.ts';
import { asOption, dataOption, notEmpty } from './options.ts';
import { exitCodes, orFailed, type Finish } from './exit-codes.ts';
import { findRunning } from './find-running.ts';

const recoverWithinMs = 120_000; // It stops and starts the node.

interface RecoverOptions {
  data: string;
  as: string;
  yes: boolean;
}

export function addNode(program: Command, finish: Finish): void {
  program
    .command('node')
    .description('repair a node by hand')
    .command('recover')
    .description(
      'a new vote file for a node that lost its own, when too few others are left for it to vote again',
    )
    .argument('<node>', 'as `status` names it', notEmpty)
    .option('--yes', 'do it without asking', false)
    .addOption(asOption('who you are, for the log'))
    .addOption(dataOption())
    .action(async (node: string, options: RecoverOptions) => finish(await recoverNode(node, options)));
}

async function recoverNode(node: string, { data, as: by, yes }: RecoverOptions): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(data);
    if (!record) return exitCodes.nothingRunning;
    const recover = async (confirmed: boolean): Promise<void> => {
      const command = { path: 'recover', target: node, by, yes: confirmed } as const;
      process.stdout.write(`${await tellLauncher(record, command, recoverWithinMs)}\n`);
    };
    await recover(false);
    if (!yes && !(await agreed(process.stdout))) return exitCodes.notAgreed;
    await recover(true);
    return exitCodes.ok;
  });
}
