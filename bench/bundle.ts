// The functions' zips: their size, and how long a cold import of each takes in a fresh process, against an empty module.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unpackFunction } from '../emulator/lambda/unpack.ts';
import { bundleAll } from '../functions/bundle.ts';
import { functionNames } from '../contracts/topology.ts';
import { measured, median, round, type Bench, type Result } from './bench.ts';

const run = promisify(execFile);
const goals = { bytes: 1024 * 1024, importMs: 150 };
/** Without its environment a function refuses to start once all of it is loaded; any other failure is one. */
const probe = `const began = performance.now();
await import(process.argv[1]).catch((error) => { if (error.name !== 'EnvironmentError') throw error; });
console.log(performance.now() - began);`;

export const bench: Bench = async ({ rounds }) => {
  const bundles = await bundleAll();
  const folder = await mkdtemp(join(tmpdir(), 'baton-bench-'));
  const empty = join(folder, 'empty.mjs');
  await writeFile(empty, 'export {};\n');
  const importMs = async (file: string): Promise<number> =>
    Number((await run(process.execPath, ['--input-type=module', '-e', probe, file])).stdout);
  const results: Result[] = [];
  for (const name of functionNames) {
    const { bytes, zipFile } = bundles[name];
    const taskRoot = await unpackFunction({ name, zipFile, parent: folder });
    const ours: number[] = [];
    const floor: number[] = [];
    for (let turn = 0; turn < rounds; turn++) {
      ours.push(await importMs(join(taskRoot, 'index.mjs')));
      floor.push(await importMs(empty));
    }
    results.push(measured(`${name}: zip`, 'bytes', bytes, goals.bytes));
    const ms = median(ours);
    results.push({
      what: `${name}: cold import, beside an empty module`,
      unit: 'ms',
      ours: round(ms, 1),
      peer: round(median(floor), 1),
      ratio: round(ms / median(floor), 1),
      goal: `<= ${goals.importMs} ms`,
      met: ms <= goals.importMs,
    });
  }
  await rm(folder, { recursive: true, force: true });
  return results;
};
