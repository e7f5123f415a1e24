// Processor time of whole process trees, from /proc, so on Linux. What a process has cost is what it and its children have
// used, the ended ones included: PostgreSQL and RabbitMQ do their work in processes of their own.
import { readdir, readFile } from 'node:fs/promises';

const ticksPerSecond = 100; // USER_HZ is 100 on every Linux that Node runs on.

interface Usage {
  readonly parent: number;
  /** Of the process itself and of its children that have ended, in seconds. */
  readonly seconds: number;
}

/** Seconds that each named process and its descendants have used so far. Nothing where there is no /proc. */
export async function cpuSecondsByName(
  roots: readonly { name: string; pid: number }[],
): Promise<ReadonlyMap<string, number>> {
  const usages = await readUsages();
  const children = new Map<number, number[]>();
  for (const [pid, { parent }] of usages) children.set(parent, [...(children.get(parent) ?? []), pid]);
  const secondsOf = (pid: number): number =>
    (children.get(pid) ?? []).reduce((sum, child) => sum + secondsOf(child), usages.get(pid)?.seconds ?? 0);
  return new Map(roots.map(({ name, pid }) => [name, secondsOf(pid)]));
}

async function readUsages(): Promise<ReadonlyMap<number, Usage>> {
  if (process.platform !== 'linux') return new Map();
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const entries = await Promise.all(
    pids.map(async (pid): Promise<[number, Usage] | undefined> => {
      try {
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
        // After the name, which may hold anything: state, parent, ..., utime, stime, cutime, cstime from the 12th on.
        const fields = stat
          .slice(stat.lastIndexOf(')') + 2)
          .split(' ')
          .map(Number);
        const ticks = fields.slice(11, 15).reduce((sum, value) => sum + value, 0);
        return [Number(pid), { parent: fields[1] ?? 0, seconds: ticks / ticksPerSecond }];
      } catch {
        return undefined; // It has just ended.
      }
    }),
  );
  return new Map(entries.filter((entry) => entry !== undefined));
}
