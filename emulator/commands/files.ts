// `baton files`: the last files with what became of their rows, and a rejected one tried again, through the leader's API.
import { posix } from 'node:path';
import type { Command } from 'commander';
import { acceptedSchema, fileListSchema, type FileView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { CommandError, type Finish } from './exit-codes.ts';
import { filesText } from './files-text.ts';
import { withLeader } from './leader-api.ts';
import { dataOption, jsonOption } from './options.ts';
import { targetOption, type Place } from './target.ts';

export function addFiles(program: Command, finish: Finish): void {
  const command = program
    .command('files')
    .description('files of partners and crawls: list, have a rejected one tried again');
  command
    .command('list', { isDefault: true })
    .description('the last ones: counts, and why')
    .addOption(dataOption())
    .addOption(targetOption())
    .addOption(jsonOption())
    .action(async (options: Place & { json: boolean }) => finish(await list(options)));
  command
    .command('retry')
    .description('try a rejected file again: it keeps its place among those of its source')
    .argument('<name>', 'as `list` names it, or as it is called in rejected/')
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (name: string, options: Place) => finish(await retry(name, options)));
}

function list({ json, ...place }: Place & { json: boolean }): Promise<number> {
  return withLeader(place, async (leader) => {
    const { files } = await leader.ask('GET', publicRoutes.files, fileListSchema);
    process.stdout.write(json ? files.map((file) => `${JSON.stringify(file)}\n`).join('') : filesText(files));
  });
}

function retry(name: string, place: Place): Promise<number> {
  return withLeader(place, async (leader) => {
    const { files } = await leader.ask('GET', publicRoutes.files, fileListSchema);
    const file = chooseRejected(files, name);
    await leader.ask('POST', publicRoutes.retryFile(file.fileId), acceptedSchema);
    process.stdout.write(`${file.name} is tried again: \`baton files\` shows what becomes of it.\n`);
  });
}

/** @throws CommandError when it is none or more than one. */
export function chooseRejected(files: readonly FileView[], name: string): FileView {
  const found = files.filter(
    (file) =>
      file.state === 'rejected' &&
      [file.name, file.fileId, posix.basename(file.movedTo ?? '')].includes(posix.basename(name)),
  );
  const [file, ...others] = found;
  if (file && others.length === 0) return file;
  throw new CommandError(
    'failed',
    file
      ? `${found.length} rejected files are called ${name}; say which: ${found.map(({ movedTo, fileId }) => posix.basename(movedTo ?? fileId)).join(', ')}`
      : `none of the last ${files.length} files is ${name} and rejected: \`baton files\` lists them`,
  );
}
