// `npm run simulate -- --elections N --seed S [--cores C] [--json]`: storms over whole clusters of the production core.
// `npm run simulate -- --seed S --trace FILE`: the storm of this seed alone, with its trace, for trace/main.ts to judge.
// Exit code 0: every claim held. 1: one did not; its seed and the shrunk history are printed. 2: wrong usage.
// A failing storm runs again alone with `--seed <its seed> --elections 1`.
import { availableParallelism } from 'node:os';
import { closeSync, openSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { spawnSync } from 'node:child_process';
import { planStorm } from './draw-plan.ts';
import { productionCore } from './core.ts';
import { runStorm } from './storm.ts';
import { simulateOnCores } from './campaign.ts';
import { Tally, type Totals } from './tally.ts';

class UsageError extends Error {}

function wholeNumber(name: string, text: string, [min, max]: readonly [number, number]): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max && text.trim() !== '') return value;
  throw new UsageError(`--${name} is a whole number from ${min} to ${max}, not '${text}'`);
}

async function main(args: readonly string[]): Promise<number> {
  const options = {
    elections: { type: 'string', default: '2000' },
    seed: { type: 'string', default: process.env['SEED'] ?? String(Math.floor(Math.random() * 2 ** 32)) },
    cores: { type: 'string', default: String(availableParallelism()) },
    trace: { type: 'string' },
    json: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ options, args: [...args] });
  const elections = wholeNumber('elections', values.elections, [0, 1e9]);
  const seed = wholeNumber('seed', values.seed, [0, 2 ** 32 - 1]);
  const cores = wholeNumber('cores', values.cores, [1, 256]);
  // First of all, so that a run that is cut short can be had again.
  console.error(`seed ${seed}`);
  const startedAt = performance.now();
  const totals =
    values.trace === undefined
      ? await simulateOnCores({ seed, elections, cores, onProgress: showProgress(elections) })
      : traceStorm(seed, values.trace);
  const seconds = (performance.now() - startedAt) / 1_000;
  const run = { seed, commit: commitOf(), cores, seconds, perSecond: Math.round(totals.elections / seconds) };
  if (values.json) console.log(JSON.stringify({ ...run, ...totals }));
  else tell(totals, run);
  return totals.failure ? 1 : 0;
}

/** On a terminal, one line that is written over. */
function showProgress(electionsMax: number): (tally: Tally) => void {
  if (!process.stderr.isTTY) return () => undefined;
  let shownAt = -Infinity;
  return ({ elections, storms, done }) => {
    if (!done && performance.now() - shownAt < 500) return;
    shownAt = performance.now();
    const line = `${elections} of ${electionsMax} elections in ${storms} storms`;
    process.stderr.write(`\r${line}${done ? '\n' : ''}`);
  };
}

function traceStorm(seed: number, file: string): Totals {
  const tally = new Tally({ seed, elections: 0 });
  const descriptor = openSync(file, 'w');
  try {
    let lines: string[] = [];
    const flush = (): void => {
      writeSync(descriptor, lines.join(''));
      lines = [];
    };
    const result = runStorm(planStorm(seed), productionCore, (record) => {
      lines.push(`${JSON.stringify(record)}\n`);
      if (lines.length >= 1_000) flush();
    });
    flush();
    tally.add(result);
  } finally {
    closeSync(descriptor);
  }
  return tally.totals(productionCore);
}

/** A seed replays a run exactly on the commit it was found on. */
function commitOf(): string {
  const git = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8', timeout: 2_000 });
  return git.status === 0 ? git.stdout.trim() : 'unknown';
}

function tell(
  { elections, storms, checks, calmTimeouts, failure }: Totals,
  { seconds, perSecond, commit }: { seconds: number; perSecond: number; commit: string },
): void {
  console.log(
    `${elections} elections in ${storms} storms, ${checks} checks, ${seconds.toFixed(1)} s (${perSecond} elections/s)`,
  );
  const { p50, p99, max, bound } = calmTimeouts;
  const [half, most, worst] = [p50, p99, max].map((timeouts) => timeouts.toFixed(2));
  console.log(
    `from the last fault to one leader, in election timeouts: p50 ${half}, p99 ${most}, max ${worst}, bound ${bound}`,
  );
  if (!failure) return;
  const { plan, shrunk } = failure;
  const size = ({ nodes, faults, steps }: typeof shrunk.before): string =>
    `${nodes} nodes, ${faults} faults, ${steps} steps`;
  console.log(failure.history.join('\n'));
  console.log(`FAILED ${failure.claim}\n${failure.detail}`);
  console.log(`shrunk from ${size(shrunk.before)} to ${size(shrunk.after)}`);
  console.log(`with only these nodes: ${JSON.stringify(plan.generations)}`);
  console.log(`and these faults: ${JSON.stringify(plan.faults)}`);
  console.log(`again, on commit ${commit}: npm run simulate -- --seed ${failure.seed} --elections 1`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  if (!usage) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
