// `npm run simulate -- --elections N --seed S [--json]`: storms over whole clusters of the production core.
// Exit code 0: every claim held. 1: one did not; its seed and the shrunk history are printed. 2: wrong usage.
// A failing storm runs again alone with `--seed <its seed> --elections 1`.
import { parseArgs } from 'node:util';
import { productionCore } from './core.ts';
import { simulate } from './campaign.ts';

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= max && text.trim() !== '') return value;
  console.error(`--${name} is a whole number from 0 to ${max}, not '${text}'`);
  process.exit(2);
}

function readArguments(): { elections: number; seed: number; json: boolean } {
  const options = {
    elections: { type: 'string', default: '2000' },
    seed: { type: 'string', default: process.env['SEED'] ?? String(Math.floor(Math.random() * 2 ** 32)) },
    json: { type: 'boolean', default: false },
  } as const;
  try {
    const { elections, seed, json } = parseArgs({ options }).values;
    return {
      elections: wholeNumber('elections', elections, 1e9),
      seed: wholeNumber('seed', seed, 2 ** 32 - 1),
      json,
    };
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(2);
  }
}

const { elections, seed, json } = readArguments();
if (!json) console.log(`seed ${seed}`);
const startedAt = performance.now();
const { failure, ...totals } = simulate({ seed, elections, core: productionCore });
const seconds = (performance.now() - startedAt) / 1_000;
const perSecond = Math.round(totals.elections / seconds);
if (json) console.log(JSON.stringify({ seed, seconds, perSecond, ...totals, failure }));
else {
  console.log(
    `${totals.elections} elections in ${totals.storms} storms, ${totals.checks} checks, ${seconds.toFixed(1)} s (${perSecond} elections/s)`,
  );
  console.log(`calm again within ${totals.calmTimeoutsMax.toFixed(1)} election timeouts of the last fault`);
  if (failure) {
    console.log(failure.history.join('\n'));
    console.log(`FAILED ${failure.claim}\n${failure.detail}`);
    console.log(`with only these faults: ${JSON.stringify(failure.plan.faults)}`);
    console.log(`again: npm run simulate -- --seed ${failure.seed} --elections 1`);
  }
}
process.exitCode = failure ? 1 : 0;
