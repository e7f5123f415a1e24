// `baton down`: ends a running system, and what a launcher that was killed has left running.
import type { Command } from 'commander';
import { describeError } from '../../runtime/failure.ts';
import { pause } from '../../runtime/waiting.ts';
import { batonCommand } from '../instance/command-text.ts';
import {
  endLeftovers,
  layoutOf,
  readRecord,
  removeRecord,
  takeFolder,
  type Layout,
} from '../instance/instance.ts';
import { isAlive } from '../instance/process-table.ts';
import { tellLauncher } from '../launcher/ask-launcher.ts';
import { exitCodes, orFailed, type Finish } from './exit-codes.ts';
import { findRunning } from './find-running.ts';
import { dataOption } from './options.ts';

const askedWithinMs = 5_000;
const downWithinMs = 15_000;

export function addDown(program: Command, finish: Finish): void {
  program
    .command('down')
    .description('end a running system')
    .addOption(dataOption())
    .action(async (options: { data: string }) => finish(await down(options)));
}

async function down(options: { data: string }): Promise<number> {
  return await orFailed(async () => {
    const layout = layoutOf(options.data);
    const earlier = await readRecord(layout);
    if (earlier && !isAlive(earlier.launcher)) {
      const left = await clearUp(layout);
      if (left.length > 0) {
        process.stdout.write(`The launcher was gone; ended what it had left running: ${left.join(', ')}.\n`);
        return exitCodes.ok;
      }
    }
    const record = await findRunning(options.data);
    if (!record) return exitCodes.nothingRunning;
    const { pid } = record.launcher;
    const byForce = `\`kill -9 ${pid}\`, then \`${batonCommand('down', layout.root)}\` again, which ends what it leaves running`;
    await tellLauncher(record, { path: 'down' }, askedWithinMs).catch((cause: unknown) => {
      throw new Error(`${describeError(cause)}: ${byForce}`);
    });
    const deadline = performance.now() + downWithinMs;
    while (isAlive(record.launcher)) {
      if (performance.now() > deadline)
        throw new Error(`the launcher (pid ${pid}) still runs after ${downWithinMs / 1000} s: ${byForce}`);
      await pause(50);
    }
    process.stdout.write('All down.\n');
    return exitCodes.ok;
  });
}

/** Nobody starts meanwhile: the record that is removed here would be the new one's. @returns the names of what was ended. */
async function clearUp(layout: Layout): Promise<string[]> {
  const leaveFolder = await takeFolder(layout);
  try {
    const record = await readRecord(layout);
    if (!record || isAlive(record.launcher)) return [];
    const left = await endLeftovers(record);
    await removeRecord(layout);
    return left;
  } finally {
    leaveFolder();
  }
}
