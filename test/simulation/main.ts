// `npm run simulate -- --elections N --seed S [--json]`: storms over whole clusters of the production core.
// Exit code 0: every claim held. 1: one did not; its seed and the shrunk history are printed. 2: wrong usage.
// A failing storm runs again alone with `--seed <its seed> --elections 1`.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { productionCore } from './core.ts';
import { simulate, type Totals } from './campaign.ts';

class UsageError extends Error {}

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= max && text.trim() !== '') return value;
  throw new UsageError(`--${name} is a whole number from 0 to ${max}, not '${text}'`);
}

function main(args: readonly string[]): number {
  const options = {
    elections: { type: 'string', default: '2000' },
    seed: { type: 'string', default: process.env['SEED'] ?? String(Math.floor(Math.random() * 2 ** 32)) },
    json: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ options, args: [...args] });
  const elections = wholeNumber('elections', values.elections, 1e9);
  const seed = wholeNumber('seed', values.seed, 2 ** 32 - 1);
  // First of all, so that a run that is cut short can be had again.
  console.error(`seed ${seed}`);
  const startedAt = performance.now();
  const totals = simulate({ seed, elections, core: productionCore });
  const seconds = (performance.now() - startedAt) / 1_000;
  const perSecond = Math.round(totals.elections / seconds);
  const commit = commitOf();
  if (values.json) console.log(JSON.stringify({ seed, commit, seconds, perSecond, ...totals }));
  else tell(totals, { seconds, perSecond, commit });
  return totals.failure ? 1 : 0;
}

/** A seed replays a run exactly on the commit it was found on. */
function commitOf(): string {
  const git = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8', timeout: 2_000 });
  return git.status === 0 ? git.stdout.trim() : 'unknown';
}

function tell(
  totals: Totals,
  { seconds, perSecond, commit }: { seconds: number; perSecond: number; commit: string },
): void {
  const { elections, storms, checks, calmTimeoutsMax, failure } = totals;
  console.log(
    `${elections} elections in ${storms} storms, ${checks} checks, ${seconds.toFixed(1)} s (${perSecond} elections/s)`,
  );
  console.log(`calm again within ${calmTimeoutsMax.toFixed(1)} election timeouts of the last fault`);
  if (!failure) return;
  console.log(failure.history.join('\n'));
  console.log(`FAILED ${failure.claim}\n${failure.detail}`);
  console.log(`with only these nodes: ${JSON.stringify(failure.plan.generations)}`);
  console.log(`and these faults: ${JSON.stringify(failure.plan.faults)}`);
  console.log(`again, on commit ${commit}: npm run simulate -- --seed ${failure.seed} --elections 1`);
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  if (!usage) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
