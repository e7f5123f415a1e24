// `npm run chaos -- --seed N --minutes M [--messages N] [--broker rabbitmq|development] [--json] [--folder DIR]`: the whole
// system under faults for M minutes, judged by its history. The seed repeats workload and faults; what the processes
// make of them differs from run to run, so the history is what shows a failure.
// Exit code 0: every invariant held and all came back by itself. 1: not so; seed, evidence and the history's folder are
// printed. 2: wrong usage.
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeError } from '../../runtime/failure.ts';
import type { BrokerChoice } from '../../emulator/services/describe-broker.ts';
import { invariants } from './checker.ts';
import { readHistory } from './history.ts';
import { run, type RunResult } from './run.ts';

class UsageError extends Error {}

function numberOf(
  name: string,
  text: string,
  { min, max, whole }: { min: number; max: number; whole: boolean },
): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw new UsageError(`--${name} is a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not '${text}'`);
}

const messagesPerMinute = 20_000;
const brokers: readonly string[] = ['auto', 'rabbitmq', 'development'];

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      minutes: { type: 'string', default: '1.5' },
      messages: { type: 'string' },
      broker: { type: 'string', default: 'auto' },
      folder: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const seed = numberOf('seed', values.seed, { min: 0, max: 2 ** 32 - 1, whole: true });
  const minutes = numberOf('minutes', values.minutes, { min: 0.1, max: 24 * 60, whole: false });
  const messages = numberOf('messages', values.messages ?? String(Math.round(minutes * messagesPerMinute)), {
    min: 2,
    max: 100_000_000,
    whole: true,
  });
  if (!brokers.includes(values.broker)) throw new UsageError(`--broker is one of ${brokers.join(', ')}`);
  const broker = values.broker as BrokerChoice;
  const folder = values.folder ?? (await mkdtemp(join(tmpdir(), 'baton-chaos-')));

  // First of all, so that a run that is cut short can be had again.
  console.error(`seed ${seed}, history in ${join(folder, 'history')}`);
  const startedAt = performance.now();
  const seconds = (): number => Math.round((performance.now() - startedAt) / 100) / 10;
  let result: RunResult | undefined;
  let broken: string | null = null;
  try {
    result = await run({
      seed,
      minutes,
      messages,
      broker,
      folder,
      tell: (line) => console.error(`${seconds().toFixed(1).padStart(6)} s  ${line}`),
    });
  } catch (error) {
    broken = describeError(error);
  }
  const held =
    result !== undefined &&
    [result.verdict.findings, result.late, result.untried].every(({ length }) => length === 0);
  const report = {
    seed,
    commit: commitOf(),
    broker,
    minutes,
    seconds: seconds(),
    held,
    broken,
    late: result?.late ?? [],
    untried: result?.untried ?? [],
    counts: result?.verdict.counts ?? {},
    faults: await countFaults(folder),
    findings: (result?.verdict.findings ?? []).map((finding) => ({
      ...finding,
      promise: invariants[finding.invariant],
    })),
    history: held && values.folder === undefined ? null : join(folder, 'history'),
  };
  if (values.json) console.log(JSON.stringify(report));
  else tellPeople(report);
  if (held && values.folder === undefined) await rm(folder, { recursive: true, force: true });
  return held ? 0 : 1;
}

async function countFaults(folder: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for await (const record of readHistory(join(folder, 'history'), { only: /^faults\.ndjson$/ }))
    if (record.kind === 'fault') counts[record.what] = (counts[record.what] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([one], [other]) => one.localeCompare(other)));
}

function tellPeople(report: {
  seed: number;
  held: boolean;
  broken: string | null;
  late: readonly string[];
  untried: readonly string[];
  counts: Readonly<Record<string, number>>;
  faults: Readonly<Record<string, number>>;
  findings: readonly {
    invariant: string;
    promise: string;
    violations: number;
    shortest: { what: string; evidence: readonly unknown[] };
  }[];
  history: string | null;
}): void {
  for (const [what, count] of Object.entries({ ...report.faults, ...report.counts }))
    console.log(`${String(count).padStart(9)}  ${what}`);
  for (const { invariant, promise, violations, shortest } of report.findings) {
    console.log(`\n${invariant} is broken, ${violations} times: ${promise}\n  ${shortest.what}`);
    for (const record of shortest.evidence) console.log(`  ${JSON.stringify(record)}`);
  }
  for (const what of [...report.late, ...report.untried]) console.log(`\n${what}`);
  if (report.broken !== null) console.log(`\nthe run did not end: ${report.broken}`);
  console.log(
    report.held
      ? `\nevery invariant held (seed ${report.seed})`
      : `\nagain with --seed ${report.seed}; the history is in ${report.history}`,
  );
}

function commitOf(): string {
  const git = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8', timeout: 2_000 });
  return git.status === 0 ? git.stdout.trim() : 'unknown';
}

// The system and the publishers end with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  console.error(
    isUsage
      ? `${describeError(error)}\nusage: npm run chaos -- [--seed N] [--minutes M] [--messages N] [--broker rabbitmq|development|auto] [--folder DIR] [--json]`
      : error,
  );
  process.exitCode = isUsage ? 2 : 1;
}
process.exit();
