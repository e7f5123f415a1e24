// `baton dlq`: dead letters for people. Lists them by group, shows one, corrects it, sends again or discards: through the
// leader's API, which audits who did it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  actionAnswerSchema,
  deadLetterActionsSchema,
  deadLetterDetailSchema,
  deadLetterGroupsSchema,
  deadLetterListSchema,
  deadLetterSelectionSchema,
  editAnswerSchema,
  type ActionAnswer,
  type DeadLetterSelection,
} from '../../contracts/dead-letter.ts';
import type { Issue } from '../../contracts/issue.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import { CommandError, orFailed } from './exit-codes.ts';
import { actionsText, groupsText, letterText, lettersText, prettyBody } from './dlq-text.ts';
import { withLeader, type LeaderApi } from './leader-api.ts';
import type { Place } from './target.ts';
import { plural } from './table.ts';

interface Filter {
  group?: string;
  queue?: string;
  code?: string;
  source?: string;
}
export interface ShowOptions extends Place {
  json: boolean;
}
export interface ListOptions extends ShowOptions, Filter {
  state?: string;
  after?: number;
}
export interface ChangeOptions extends Place, Filter {
  as: string;
  all?: true;
  dryRun: boolean;
}
export interface EditOptions extends ChangeOptions {
  file?: string;
  retry: boolean;
}

export function list({ data, target, json, ...filter }: ListOptions): Promise<number> {
  const query = new URLSearchParams(
    Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)]),
  );
  return withLeader({ data, target }, async (leader) => {
    if (query.size === 0) {
      const { groups } = await leader.ask('GET', publicRoutes.deadLetterGroups, deadLetterGroupsSchema);
      if (json) printLines(groups);
      else print(groupsText(groups));
    } else {
      const page = await leader.ask(
        'GET',
        `${publicRoutes.deadLetters}?${query.toString()}`,
        deadLetterListSchema,
      );
      if (json) printLines(page.letters);
      else print(lettersText(page));
    }
  });
}

export function show(id: number, { json, ...place }: ShowOptions): Promise<number> {
  return withLeader(place, async (leader) => {
    const letter = await leader.ask('GET', publicRoutes.deadLetter(id), deadLetterDetailSchema);
    if (json) printLines([letter]);
    else print(letterText(letter));
  });
}

export function actions({ json, ...place }: ShowOptions): Promise<number> {
  return withLeader(place, async (leader) => {
    const answer = await leader.ask('GET', publicRoutes.deadLetterActions, deadLetterActionsSchema);
    if (json) printLines(answer.actions);
    else print(actionsText(answer.actions));
  });
}

export function retry(ids: number[] | undefined, options: ChangeOptions): Promise<number> {
  return orFailed(() => {
    const select = selectionOf(ids, options);
    return withLeader(options, async (leader) =>
      print(retryText(await settle(leader, 'retry', select, options), options)),
    );
  });
}

export function discard(
  ids: number[] | undefined,
  options: ChangeOptions & { reason: string },
): Promise<number> {
  return orFailed(() => {
    const select = selectionOf(ids, options);
    return withLeader(options, async (leader) => {
      const { letters } = await settle(leader, 'discard', select, options);
      print(`${options.dryRun ? 'Would discard' : 'Discarded'} ${plural(letters, 'dead letter')}.\n`);
    });
  });
}

export function edit(id: number, options: EditOptions): Promise<number> {
  const { as: by, dryRun } = options;
  return withLeader(options, async (leader) => {
    const before = prettyBody(await leader.ask('GET', publicRoutes.deadLetter(id), deadLetterDetailSchema));
    const body =
      options.file === undefined ? await inEditor(id, before) : await readFile(options.file, 'utf8');
    if (body === before) return print('Nothing was changed.\n');
    const path = publicRoutes.deadLetterBody(id);
    const { problems } = await leader.ask('PUT', path, editAnswerSchema, { body, by, dryRun });
    if (dryRun) return print(wouldBeText(problems));
    print(`Dead letter ${id} is corrected.\n`);
    if (options.retry) print(retryText(await settle(leader, 'retry', { ids: [id] }, options), options));
  });
}

/** @throws CommandError for none, or for all and some at once. */
function selectionOf(
  ids: number[] | undefined,
  { group, queue, code, source, all }: ChangeOptions,
): DeadLetterSelection {
  const { success, data, error } = deadLetterSelectionSchema.safeParse({
    ids: ids?.length === 0 ? undefined : ids,
    group,
    queue,
    code,
    source,
    all,
  });
  if (success) return data;
  const issues = issuesOf(error);
  throw new CommandError(
    'usage',
    issues.some(({ path }) => path === '')
      ? 'Say which: their numbers, --group, --queue, --code or --source; or --all alone.'
      : describeIssues(issues),
  );
}

function settle(
  leader: LeaderApi,
  kind: 'retry' | 'discard',
  select: DeadLetterSelection,
  { as: by, dryRun, reason }: ChangeOptions & { reason?: string },
): Promise<ActionAnswer> {
  const path = { retry: publicRoutes.retryDeadLetters, discard: publicRoutes.discardDeadLetters }[kind];
  return leader.ask('POST', path, actionAnswerSchema, { select, by, dryRun, reason });
}

function retryText({ letters }: ActionAnswer, { dryRun }: { dryRun: boolean }): string {
  if (dryRun) return `Would send ${plural(letters, 'dead letter')} again.\n`;
  if (letters === 0) return 'None of these waits for a decision: nothing is sent.\n';
  return `The leader sends ${plural(letters, 'dead letter')} again: \`baton dlq list --state sending\` shows what is left.\n`;
}

function wouldBeText(problems: readonly Issue[]): string {
  if (problems.length === 0) return 'Would be taken as it is.\n';
  return `Would be refused:\n${problems.map(({ path, message }) => `  ${path || '(whole)'}: ${message}\n`).join('')}`;
}

/** The text as the editor left it. @throws Error when the editor failed. */
async function inEditor(id: number, text: string): Promise<string> {
  const editor = process.env['VISUAL'] ?? process.env['EDITOR'] ?? 'vi';
  const folder = await mkdtemp(join(tmpdir(), 'baton-edit-'));
  try {
    const file = join(folder, `dead-letter-${id}.json`);
    await writeFile(file, text, { mode: 0o600 });
    // Through a shell, since the variable may hold arguments.
    const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0)
      throw new Error(`${editor} ended with ${code}: nothing was changed (set EDITOR, or use --file)`);
    return await readFile(file, 'utf8');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function print(text: string): void {
  process.stdout.write(text);
}
function printLines(values: readonly unknown[]): void {
  for (const value of values) print(`${JSON.stringify(value)}\n`);
}
