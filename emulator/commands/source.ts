// `baton source`: the shops and partners of a system, through the leader's API; and a look at one page of a shop, as the
// scraper would read it, before there is a source.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { sourcesSchema, type SourceStanding } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { newSourceSchema } from '../../contracts/selectors.ts';
import { shopSourceSchema, type Source } from '../../contracts/source.ts';
import { agreed } from '../../runtime/agreed.ts';
import { describeError } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import { CommandError, exitCodes, orFailed, type Finish } from './exit-codes.ts';
import { withLeader } from './leader-api.ts';
import { contactOption, dataOption, jsonOption, notEmpty, privateShopOption } from './options.ts';
import { table, timeText } from './table.ts';
import { targetOption, type Place } from './target.ts';

interface TryOptions {
  readonly privateShop: readonly string[];
  readonly contact?: string;
  readonly json: boolean;
}

export function addSource(program: Command, finish: Finish): void {
  const command = program.command('source').description('shops and partners: list, put, delete, try a page');
  command
    .command('list')
    .description('each source, and what its last crawl or file brought')
    .addOption(dataOption())
    .addOption(targetOption())
    .addOption(jsonOption())
    .action(async (options: Place & { json: boolean }) => finish(await list(options)));
  command
    .command('put')
    .description('store a source, new or changed')
    .argument('<file>', 'its JSON, as docs/local.md shows it')
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (file: string, place: Place) => finish(await put(file, place)));
  command
    .command('delete')
    .description('delete a source: its items vanish, and go')
    .argument('<name>', 'as `list` names it', notEmpty)
    .option('--yes', 'do it without asking', false)
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (name: string, options: Place & { yes: boolean }) => finish(await remove(name, options)));
  command
    .command('try')
    .description('read one page as the scraper would, and store nothing')
    .argument('<source>', "a source's JSON file, or the URL of a page")
    .argument('[page]', 'with a file: another page than its first one')
    .addOption(privateShopOption())
    .addOption(contactOption())
    .addOption(jsonOption())
    .action(async (what: string, page: string | undefined, options: TryOptions) =>
      finish(await tryOne(what, page, options)),
    );
}

async function list({ json, ...place }: Place & { json: boolean }): Promise<number> {
  return await withLeader(place, async (leader) => {
    const { sources, standings } = await leader.ask('GET', publicRoutes.sources, sourcesSchema);
    if (json) print(sources.map((source) => `${JSON.stringify(source)}\n`).join(''));
    else if (sources.length === 0) print('There is no source yet: `baton source put <file>` stores one.\n');
    else
      print(
        table(
          ['NAME', 'KIND', 'LAST GOOD (UTC)', 'STATE'],
          sources.map((source) => {
            const standing = standings.find((one) => one.source === source.name);
            const lastGoodAt = standing?.lastGoodAt ?? null;
            const at = lastGoodAt === null ? '-' : timeText(lastGoodAt);
            return [source.name, source.kind, at, stateOf(source, standing)];
          }),
        ),
      );
  });
}

function stateOf({ enabled }: Source, standing: SourceStanding | undefined): string {
  if (!enabled) return 'switched off';
  // Five hundred are judged.
  if (standing === undefined) return '';
  const { isOverdue, empty, incomplete } = standing;
  return (
    [
      ...(isOverdue ? ['overdue'] : []),
      ...(empty === null ? [] : [`the last crawl brought nothing: ${empty}`]),
      ...(incomplete === null ? [] : [`not whole: ${incomplete}`]),
    ].join(', ') || 'as expected'
  );
}

async function put(file: string, place: Place): Promise<number> {
  return await orFailed(async () => {
    const source = await readSource(file);
    return await withLeader(place, async (leader) => {
      await leader.ask('PUT', publicRoutes.source(source.name), z.unknown(), source);
      print(
        source.kind === 'partner'
          ? `Stored the partner ${source.name}: its files are named ${source.name}_<anything>.csv, .json or .ndjson.\n`
          : `Stored the shop ${source.name}: ${source.enabled ? 'it is crawled within two minutes, and' : 'it is switched off;'} \`baton source list\` says what came of it.\n`,
      );
    });
  });
}

async function remove(name: string, { yes, ...place }: Place & { yes: boolean }): Promise<number> {
  let isDone = true;
  const code = await withLeader(place, async (leader) => {
    const { sources } = await leader.ask('GET', publicRoutes.sources, sourcesSchema);
    const source = sources.find((one) => one.name === name);
    if (!source)
      throw new Error(`there is no source ${name}: \`baton source list\` names those that are there`);
    print(
      `This deletes the ${source.kind} ${name}. Each of its items vanishes, for whoever reads the feed, and is gone from lists, page and export. What is on its way for it is dropped.\n`,
    );
    isDone = yes || (await agreed(process.stdout));
    if (!isDone) return;
    await leader.ask('DELETE', publicRoutes.source(encodeURIComponent(name)), z.unknown());
    print(`Deleted ${name}: its items go within minutes.\n`);
  });
  return isDone ? code : exitCodes.notAgreed;
}

async function tryOne(
  what: string,
  page: string | undefined,
  { privateShop, contact, json }: TryOptions,
): Promise<number> {
  return await orFailed(async () => {
    const { source, url } = await readTried(what, page);
    // What reads pages would make every other command slower.
    const { tryPage, triedText } = await import('./source-try.ts');
    const tried = await tryPage(url, { source, privateShops: privateShop, contact });
    print(json ? `${JSON.stringify(tried)}\n` : triedText(tried));
    return exitCodes.ok;
  });
}

/** Alone, a page is read without selectors or a currency of its own. */
async function readTried(what: string, page: string | undefined) {
  if (/^https?:\/\//iu.test(what)) {
    if (page !== undefined) throw new CommandError('usage', 'name one page, or a file and a page');
    const source = shopSourceSchema.parse({ kind: 'shop', name: 'try', startUrls: [what], everySeconds: 60 });
    return { source, url: what };
  }
  const source = await readSource(what);
  if (source.kind === 'partner')
    throw new CommandError('usage', `${what}: ${source.name} is a partner: it has files, and no page to try`);
  const url = page ?? source.startUrls[0] ?? '';
  if (!URL.canParse(url)) throw new CommandError('usage', `${url} is no URL`);
  return { source, url };
}

/** @throws CommandError that names the file, and in it the field. */
async function readSource(file: string): Promise<Source> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new CommandError('usage', `${file} cannot be read as JSON: ${describeError(error)}`);
  }
  const { success, data, error } = newSourceSchema.safeParse(json);
  if (success) return data;
  throw new CommandError('usage', `${file} is no source: ${describeIssues(issuesOf(error))}`);
}

function print(text: string): void {
  process.stdout.write(text);
}
