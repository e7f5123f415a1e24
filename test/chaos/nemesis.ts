// Carries out the faults of a run, one after the other, each pause ending by itself, and puts all right again at the end.
// A fault that finds nothing to hit, as a process that is being started again, is written down as missed.
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, isAlive } from '../../emulator/instance/process-table.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Fault } from './faults.ts';
import type { HistoryWriter } from './history.ts';
import type { Publishers } from './publishers.ts';
import type { Stage } from './stage.ts';

export interface NemesisOptions {
  readonly stage: Stage;
  readonly publishers: Publishers;
  readonly history: HistoryWriter;
  readonly faults: Iterable<Fault>;
  /** No fault begins after it. */
  readonly endsAt: number;
}

/** Resolves when the time is over and nothing is paused any more. @throws Error when a killed system does not start again. */
export async function runNemesis({
  stage,
  publishers,
  history,
  faults,
  endsAt,
}: NemesisOptions): Promise<void> {
  const undoing = new Set<Promise<void>>();
  for (const fault of faults) {
    if (performance.now() + fault.afterMs > endsAt) break;
    await sleep(fault.afterMs);
    const what = `${fault.kind} ${fault.target}`;
    try {
      const undo = await carryOut(fault, { stage, publishers });
      history.write({ kind: 'fault', what, detail: undo ? `${fault.forMs} ms` : '' });
      if (!undo) continue;
      const undone: Promise<void> = sleep(fault.forMs)
        .then(undo)
        .catch(() => undefined) // It was killed meanwhile.
        .finally(() => undoing.delete(undone));
      undoing.add(undone);
    } catch (error) {
      if (fault.kind === 'kill-supervisor') throw error;
      history.write({ kind: 'fault', what: `missed ${what}`, detail: describeError(error) });
    }
  }
  await Promise.all(undoing);
}

/** @returns what ends a pause. */
async function carryOut(
  { kind, target, forMs }: Fault,
  { stage, publishers }: Pick<NemesisOptions, 'stage' | 'publishers'>,
): Promise<(() => Promise<void> | void) | undefined> {
  switch (kind) {
    case 'kill':
      await stage.fault('kill', target);
      return undefined;
    case 'pause': {
      // By name: whoever leads when the pause ends is another one.
      const name = target === 'leader' ? (await stage.status()).leader : target;
      if (name === null) throw new Error('nobody leads');
      await stage.fault('pause', name);
      return () => stage.fault('resume', name);
    }
    case 'kill-handler':
      process.kill(await handlerOf(stage, target), 'SIGKILL');
      return undefined;
    case 'pause-handler':
      return stop(await handlerOf(stage, target));
    case 'kill-publisher':
      if (!publishers.signal(target, 'SIGKILL')) throw new Error('it does not run');
      return undefined;
    case 'pause-publisher':
      if (!publishers.signal(target, 'SIGSTOP')) throw new Error('it does not run');
      return () => void publishers.signal(target, 'SIGCONT');
    case 'cut': {
      const cut = linksOf(stage, target).reduce((count, link) => count + link.cut(), 0);
      if (cut === 0) throw new Error('nobody is connected');
      return undefined;
    }
    case 'swallow': {
      const swallowed = Promise.all(linksOf(stage, target).map((link) => link.swallow(forMs)));
      return async () => void (await swallowed);
    }
    case 'network':
      await stage.disturb(target, forMs);
      return () => undefined; // It heals by itself.
    case 'kill-supervisor':
      await stage.killSupervisor();
      return undefined;
    case 'pause-supervisor':
      return stop(stage.launcherPid);
  }
}

/** SIGSTOP. @returns what lets it go on, if it is still the same process by then. */
function stop(pid: number): () => void {
  const identity = identify(pid);
  process.kill(pid, 'SIGSTOP');
  return () => {
    if (identity && isAlive(identity)) process.kill(pid, 'SIGCONT');
  };
}

function linksOf({ brokerLink, nodeLinks }: Stage, target: string) {
  return target === 'broker' ? [brokerLink] : nodeLinks;
}

async function handlerOf(stage: Stage, name: string): Promise<number> {
  const [pid] = await stage.handlers(name);
  if (pid === undefined) throw new Error(`no process runs ${name}`);
  return pid;
}
