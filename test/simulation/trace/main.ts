// `node test/simulation/trace/main.ts FILE`: judges a trace that `npm run simulate -- --trace FILE` wrote, one record a
// line. Exit code 0: it holds to every rule. 1: it does not; the rule and the line are named. 2: no such file, or no trace.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { TraceRecord } from './record.ts';
import { rules, Violation, type Rule } from './rules.ts';
import { TraceChecker } from './trace-checker.ts';

async function main(file: string | undefined): Promise<number> {
  if (file === undefined) throw new TypeError('which file? usage: node test/simulation/trace/main.ts FILE');
  const checker = new TraceChecker();
  let line = 0;
  for await (const json of createInterface({ input: createReadStream(file) })) {
    line += 1;
    try {
      checker.take(recordOf(json));
    } catch (error) {
      if (!(error instanceof Violation))
        throw new TypeError(`${file}:${line} is no record`, { cause: error });
      console.error(`${file}:${line}: ${error.message} (${rules[error.claim as Rule]})`);
      return 1;
    }
  }
  if (line === 0) throw new TypeError(`${file} is empty`);
  console.log(`${line} records, ${checker.checks} checks, ${checker.elections} elections: every rule holds`);
  return 0;
}

function recordOf(json: string): TraceRecord {
  const value = JSON.parse(json) as Partial<TraceRecord>;
  const isRecord =
    typeof value.kind === 'string' && typeof value.node === 'string' && typeof value.at === 'number';
  if (!isRecord) throw new TypeError('kind, node and at are missing');
  return value as TraceRecord;
}

try {
  process.exitCode = await main(process.argv[2]);
} catch (error) {
  const usage = error instanceof TypeError || (error instanceof Error && 'code' in error);
  if (!usage) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
