// `baton dlq ...` as commander sees it.
import { InvalidArgumentError, Option, type Command } from 'commander';
import { deadLetterStates } from '../../contracts/dead-letter.ts';
import * as dlq from './dlq.ts';
import type { Finish } from './exit-codes.ts';
import { asOption, dataOption, jsonOption } from './options.ts';
import { targetOption } from './target.ts';

const letterHelp = 'as `list` numbers it';

export function addDlq(program: Command, finish: Finish): void {
  const command = program.command('dlq').description('dead letters: list, show, edit, send again, discard');
  const filtered = (filters: Command): Command =>
    filters
      .option('--group <id>', 'those of one group, as `list` names it')
      .option('--queue <name>', 'those of items, files or mail')
      .option('--code <code>', 'those of one code, such as ITEM_MALFORMED')
      .option('--source <name>', 'those of one source');
  const audited = (changes: Command): Command =>
    changes
      .addOption(asOption('who you are, for the audit'))
      .option('--dry-run', 'say what would be done, and do nothing', false)
      .addOption(dataOption())
      .addOption(targetOption());

  filtered(command.command('list').description('groups of those that wait; with a filter the letters'))
    .addOption(new Option('--state <state>', 'letters in one state').choices(deadLetterStates))
    .addOption(new Option('--after <id>', 'the next page').argParser(letterId))
    .addOption(dataOption())
    .addOption(targetOption())
    .addOption(jsonOption())
    .action(async (options: dlq.ListOptions) => finish(await dlq.list(options)));
  command
    .command('show')
    .description('one letter: why it died, its body, its headers, what was done with it')
    .argument('<id>', letterHelp, letterId)
    .addOption(dataOption())
    .addOption(targetOption())
    .addOption(jsonOption())
    .action(async (id: number, options: dlq.ShowOptions) => finish(await dlq.show(id, options)));
  audited(filtered(command.command('retry').description('send letters again, each by the route it came')))
    .argument('[ids...]', letterHelp, letterIds)
    .option('--all', 'all that wait')
    .action(async (ids: number[] | undefined, options: dlq.ChangeOptions) =>
      finish(await dlq.retry(ids, options)),
    );
  audited(
    filtered(command.command('discard').description('discard letters: they stay listed and are never sent')),
  )
    .argument('[ids...]', letterHelp, letterIds)
    .option('--all', 'all that wait')
    .requiredOption('--reason <text>', 'why, for the audit')
    .action(async (ids: number[] | undefined, options: dlq.ChangeOptions & { reason: string }) =>
      finish(await dlq.discard(ids, options)),
    );
  audited(command.command('edit').description('correct the body of a letter, in $EDITOR or from a file'))
    .argument('<id>', letterHelp, letterId)
    .option('--file <path>', 'the new body')
    .option('--retry', 'and send it again', false)
    .action(async (id: number, options: dlq.EditOptions) => finish(await dlq.edit(id, options)));
  command
    .command('actions')
    .description('the last things done with dead letters: who, when, what')
    .addOption(dataOption())
    .addOption(targetOption())
    .addOption(jsonOption())
    .action(async (options: dlq.ShowOptions) => finish(await dlq.actions(options)));
}

function letterId(text: string): number {
  if (!/^[1-9]\d{0,15}$/.test(text))
    throw new InvalidArgumentError('A number, as `baton dlq list` shows it.');
  return Number(text);
}
function letterIds(text: string, before: number[] | undefined): number[] {
  return [...(before ?? []), letterId(text)];
}
