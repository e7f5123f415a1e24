// `baton history`: who led, from when on, and why it stood for election, over all nodes and across restarts. Asks the leader.
import type { Command } from 'commander';
import { historySchema, type LeaderView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { Finish } from './exit-codes.ts';
import { withLeader } from './leader-api.ts';
import { dataOption, jsonOption } from './options.ts';
import { table, timeText } from './table.ts';
import { targetOption, type Place } from './target.ts';

export function addHistory(program: Command, finish: Finish): void {
  program
    .command('history')
    .description('who led, from when on and why: the last fifty, the newest first')
    .addOption(dataOption())
    .addOption(jsonOption())
    .addOption(targetOption())
    .action(async (options: Place & { json: boolean }) => finish(await showHistory(options)));
}

async function showHistory({ json, ...place }: Place & { json: boolean }): Promise<number> {
  return await withLeader(place, async (leader) => {
    const { history } = await leader.ask('GET', publicRoutes.history, historySchema);
    const lines = json ? history.map((one) => `${JSON.stringify(one)}\n`).join('') : historyText(history);
    process.stdout.write(lines);
  });
}

const historyText = (history: readonly LeaderView[]): string =>
  table(
    ['SINCE (UTC)', 'NODE', 'TERM', 'WHY'],
    history.map(({ at, node, term, reason }) => [timeText(at), node, term, reason]),
  );
