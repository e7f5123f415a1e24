// `npm run fuzz -- --datagrams N --seed S [--json]`: datagrams of every kind against the transport and the core.
// Exit code 0: all was as it has to be. 1: it was not; the seed and the number of the datagram are printed. 2: wrong usage.
import { parseArgs } from 'node:util';
import { Fuzz } from './fuzz.ts';

const portion = 10_000;

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= max && text.trim() !== '') return value;
  throw new TypeError(`--${name} is a whole number from 0 to ${max}, not '${text}'`);
}

function main(args: readonly string[]): number {
  const options = {
    datagrams: { type: 'string', default: '100000' },
    seed: { type: 'string', default: process.env['SEED'] ?? String(Math.floor(Math.random() * 2 ** 32)) },
    json: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ options, args: [...args] });
  const datagrams = wholeNumber('datagrams', values.datagrams, 1e9);
  const seed = wholeNumber('seed', values.seed, 2 ** 32 - 1);
  console.error(`seed ${seed}`);
  const startedAt = performance.now();
  const fuzz = new Fuzz(seed);
  let failure: string | null = null;
  try {
    while (fuzz.datagrams < datagrams) {
      fuzz.run(Math.min(portion, datagrams - fuzz.datagrams));
      if (process.stderr.isTTY) process.stderr.write(`\r${fuzz.datagrams} of ${datagrams} datagrams`);
    }
  } catch (error) {
    failure = `datagram ${fuzz.datagrams + 1}: ${error instanceof Error ? error.message : String(error)}`;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const { totals } = fuzz;
  if (values.json) console.log(JSON.stringify({ seed, seconds, ...totals, failure }));
  else {
    console.log(`${totals.datagrams} datagrams, ${seconds.toFixed(1)} s`);
    console.log(`sent: ${JSON.stringify(totals.sent)}\ncame of it: ${JSON.stringify(totals.outcomes)}`);
    if (failure !== null) console.log(`FAILED at ${failure}\nagain: npm run fuzz -- --seed ${seed}`);
  }
  return failure === null ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
