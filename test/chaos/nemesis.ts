// Carries out the faults of a run, one after the other, each pause ending by itself, and puts all right again at the end.
// A fault that finds nothing to hit, as a process that is being started again, is tried for a moment more; then it is
// written down as missed.
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, isAlive } from '../../emulator/instance/process-table.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Fault, Tried } from './faults.ts';
import type { HistoryWriter } from './history.ts';
import type { Publishers } from './publishers.ts';
import type { Stage } from './stage.ts';

/** Long enough for most of what is being started again. */
const hitWithinMs = 2_000;
const triedEveryMs = 200;

export interface NemesisOptions {
  readonly stage: Pick<
    Stage,
    | 'brokerLink'
    | 'nodeLinks'
    | 'launcherPid'
    | 'status'
    | 'fault'
    | 'disturb'
    | 'killSupervisor'
    | 'handlers'
  >;
  readonly publishers: Pick<Publishers, 'signal' | 'isDone'>;
  readonly history: HistoryWriter;
  readonly faults: Iterable<Fault>;
  /** No fault begins after it. */
  readonly endsAt: number;
}

/**
 * Resolves when the time is over and nothing is paused any more. @returns what was tried.
 * @throws Error when a killed system does not start again.
 */
export async function runNemesis({
  stage,
  publishers,
  history,
  faults,
  endsAt,
}: NemesisOptions): Promise<Tried[]> {
  const tried: Tried[] = [];
  const undoing = new Set<Promise<void>>();
  for (const fault of faults) {
    if (performance.now() + fault.afterMs > endsAt) break;
    await sleep(fault.afterMs);
    if (isOfPublisher(fault) && publishers.isDone(fault.target)) continue;
    const what = `${fault.kind} ${fault.target}`;
    try {
      const until = Math.min(endsAt, performance.now() + hitWithinMs);
      const undo = await carryOutBy(until, fault, { stage, publishers });
      tried.push({ kind: fault.kind, hit: true });
      history.write({ kind: 'fault', what, detail: undo ? `${fault.forMs} ms` : '' });
      if (!undo) continue;
      const undone: Promise<void> = sleep(fault.forMs)
        .then(undo)
        .catch(() => undefined) // It was killed meanwhile.
        .finally(() => undoing.delete(undone));
      undoing.add(undone);
    } catch (error) {
      if (fault.kind === 'kill-supervisor') throw error;
      tried.push({ kind: fault.kind, hit: false });
      history.write({ kind: 'fault', what: `missed ${what}`, detail: describeError(error) });
    }
  }
  await Promise.all(undoing);
  return tried;
}

type Scene = Pick<NemesisOptions, 'stage' | 'publishers'>;
/** What ends a pause. */
type Undo = (() => Promise<void> | void) | undefined;

/** @throws Error with why it hit nothing. */
async function carryOutBy(until: number, fault: Fault, scene: Scene): Promise<Undo> {
  for (;;)
    try {
      return await carryOut(fault, scene);
    } catch (error) {
      if (fault.kind === 'kill-supervisor' || performance.now() + triedEveryMs > until) throw error;
      await sleep(triedEveryMs);
    }
}

async function carryOut({ kind, target, forMs }: Fault, { stage, publishers }: Scene): Promise<Undo> {
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

function isOfPublisher({ kind }: Fault): boolean {
  return kind === 'kill-publisher' || kind === 'pause-publisher';
}

function linksOf({ brokerLink, nodeLinks }: Scene['stage'], target: string) {
  return target === 'broker' ? [brokerLink] : nodeLinks;
}

async function handlerOf(stage: Scene['stage'], name: string): Promise<number> {
  const [pid] = await stage.handlers(name);
  if (pid === undefined) throw new Error(`no process runs ${name}`);
  return pid;
}
