// `baton sql <statement>`: what people do to the database by hand, on a laptop that need not have psql. The launcher runs it
// in a node's place; docs/runbook.md says how it is done elsewhere.
import type { Command } from 'commander';
import { tellLauncher } from '../launcher/ask-launcher.ts';
import { dataOption, notEmpty } from './options.ts';
import { exitCodes, orFailed, type Finish } from './exit-codes.ts';
import { findRunning } from './find-running.ts';

const runWithinMs = 35_000; // Longer than the launcher gives it.

export function addSql(program: Command, finish: Finish): void {
  program
    .command('sql')
    .description('run a statement in the database; prints its rows, a line of JSON each')
    .argument('<statement>', 'of SQL', notEmpty)
    .addOption(dataOption())
    .action(async (statement: string, { data }: { data: string }) => finish(await sql(statement, data)));
}

async function sql(statement: string, data: string): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(data);
    if (!record) return exitCodes.nothingRunning;
    const rows = await tellLauncher(record, { path: 'sql', statement }, runWithinMs);
    if (rows !== '') process.stdout.write(`${rows}\n`);
    return exitCodes.ok;
  });
}
