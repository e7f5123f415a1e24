// What processes cost while nobody asks anything of them: share of one core, and resident memory. From /proc, so on Linux.
import { readFile } from 'node:fs/promises';

const ticksPerSecond = 100; // USER_HZ is 100 on every Linux that Node runs on.

export interface Cost {
  /** Percent of one core. */
  readonly cpu: number;
  readonly rssMb: number;
}

/** The mean over these processes, watched for so long. Undefined where there is no /proc. */
export async function costOf(pids: readonly number[], watchMs: number): Promise<Cost | undefined> {
  if (process.platform !== 'linux') return undefined;
  const began = performance.now();
  const before = await Promise.all(pids.map(cpuSeconds));
  await new Promise((resolve) => setTimeout(resolve, watchMs));
  const after = await Promise.all(pids.map(cpuSeconds));
  const seconds = (performance.now() - began) / 1_000;
  const rss = await Promise.all(pids.map(rssMb));
  return { cpu: (100 * (mean(after) - mean(before))) / seconds, rssMb: mean(rss) };
}

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // After the name, which may hold anything, utime and stime are the 12th and 13th fields.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
export async function rssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(?<kb>\d+) kB/m.exec(status)?.groups?.['kb']) / 1_024;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
