// `npm run bench -- <name> [--rounds N] [--json]`: one claim of docs/performance.md measured, against a peer or a floor in the
// same run. Figures of a shared machine are noisy: ratios count, times do not.
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';

const names = [
  'start',
  'failover',
  'pipeline',
  'partitions',
  'read',
  'parse',
  'ftp',
  'mail',
  'memory',
  'bundle',
] as const;
const roundsDefault = 5;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string' }, json: { type: 'boolean', default: false } },
});
const [name] = positionals;
const rounds = Number(values.rounds ?? roundsDefault);
if (!names.some((known) => known === name) || !Number.isInteger(rounds) || rounds < 1) {
  process.stderr.write(
    `Usage: npm run bench -- <${names.join('|')}> [--rounds N] [--json]; rounds is a whole number from 1.\n`,
  );
  process.exit(2);
}
let bench: Bench;
try {
  ({ bench } = (await import(`./${name}.ts`)) as { bench: Bench });
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
  process.stderr.write(`The benchmark ${name} is not written yet.\n`);
  process.exit(1);
}
const machine = `${process.platform} ${process.arch}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.versions.node}`;
const results = await bench({ rounds });
if (values.json) process.stdout.write(`${JSON.stringify({ name, machine, results })}\n`);
else {
  process.stdout.write(`${name} on ${machine}\n`);
  for (const { what, unit, ours, peer, ratio, goal, met } of results)
    process.stdout.write(
      `  ${what.padEnd(58)} ${String(ours).padStart(10)} ${unit.padEnd(8)} ${peer === null ? '' : `against ${peer}, ratio ${ratio}`}  ${goal === null ? '' : `goal ${goal}: ${met ? 'met' : 'NOT met'}`}\n`,
    );
}
process.exit(results.every(({ met }) => met !== false) ? 0 : 1);
