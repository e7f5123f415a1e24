// Processes by pid and start time, so that a number that the system gave to a stranger meanwhile is never signalled.
// Never looks for a process by its name.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque text that differs between two processes which had the same pid. */
  readonly startedAt: string;
}

/** Undefined when there is no such process. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to somebody else (PostgreSQL under its own user).
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  const startedAt = startTimeOf(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isAlive(recorded: ProcessIdentity): boolean {
  return identify(recorded.pid)?.startedAt === recorded.startedAt;
}

/** The process and its whole group, if it leads one. False when it was gone. */
export function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false; // ESRCH: nobody of the group is left.
  }
}

/**
 * The process, its group, and all that came from it, whatever groups they lead: each session of PostgreSQL leads one, and
 * goes on while its server alone is frozen. False when it was gone.
 */
export function signalTree(pid: number, signal: NodeJS.Signals): boolean {
  // Listed first: the children of one that was killed are nobody's.
  const descendants = descendantsOf(pid);
  const found = signalGroup(pid, signal);
  for (const descendant of descendants)
    try {
      process.kill(descendant, signal);
    } catch {
      // It ended meanwhile, or with its group.
    }
  return found;
}

/** Empty when there is no such process. */
export function childrenOf(pid: number): number[] {
  try {
    if (process.platform === 'linux')
      return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
        numbersIn(readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1')),
      );
    return numbersIn(execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' }));
  } catch {
    return []; // It ended between two looks, or has none.
  }
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function numbersIn(text: string): number[] {
  return text.split(/\s+/).filter(Boolean).map(Number);
}

function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      // Field 22, counted after the name, which may hold spaces and brackets: proc_pid_stat(5).
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? undefined : fields[19];
    }
    // The same text in every terminal: ps tells times in the language and the zone of whoever asks.
    const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', env });
    return text.trim() || undefined;
  } catch {
    return undefined; // It ended between the two looks.
  }
}
