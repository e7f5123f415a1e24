// `baton restart <service>...`: ends a service in order and starts it again, with the code as it is now. What one who edits
// Baton does after each change; a crash is what `kill` is for.
import type { Command } from 'commander';
import { tellLauncher } from '../launcher/ask-launcher.ts';
import { exitCodes, orFailed, type Finish } from './exit-codes.ts';
import { findRunning } from './find-running.ts';
import { dataOption, notEmpty } from './options.ts';

const restartWithinMs = 120_000; // The database takes the longest, and has a bound of its own.

export function addRestart(program: Command, finish: Finish): void {
  program
    .command('restart')
    .description('end services in order, one after another, and start them with the code as it is now')
    .argument(
      '<services...>',
      'as `status` names them; `lambda` has the functions',
      (name, before?: string[]) => [...(before ?? []), notEmpty(name)],
    )
    .addOption(dataOption())
    .action(async (services: string[], options: { data: string }) =>
      finish(await restart(services, options)),
    );
}

async function restart(services: readonly string[], { data }: { data: string }): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(data);
    if (!record) return exitCodes.nothingRunning;
    for (const target of services)
      process.stdout.write(`${await tellLauncher(record, { path: 'restart', target }, restartWithinMs)}\n`);
    return exitCodes.ok;
  });
}
