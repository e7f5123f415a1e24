// One simulated computer: its process, its disk and its clock. Data only; cluster.ts and its parts move it.
import type { Config, Health, Message, NodeId, Persisted, Time } from '../../nodes/raft/types.ts';
import type { State } from '../../nodes/raft/state.ts';
import type { Member, Settings } from './plan.ts';

export type Arrival = { readonly from: NodeId; readonly fromBoot: string; readonly message: Message };

export interface Machine {
  readonly id: NodeId;
  config: Config;
  bootCount: number;
  /** Null while the process is down. */
  state: State | null;
  /** The operator wants it to run, and in this generation. */
  wanted: boolean;
  generation: number;
  persisted: Persisted | null;
  fileSaysAbstaining: boolean;
  fileLost: boolean;
  owed: Persisted | null;
  diskFull: boolean;
  writeMs: number;
  /** It is to die in the middle of a step: `begun` counts from now on, otherwise from its next write. */
  dying: { readonly forMs: number; readonly begun: boolean; readonly effects: number } | null;
  settings: Settings | null;
  /** Stands still until then: SIGSTOP, a collection, or a slow disk. */
  pausedUntil: Time;
  waiting: Arrival[];
  missedWake: boolean;
  wakeTicket: number;
  /** When its timer is due, by its own clock. */
  wakeAt: Time;
  leadsTerm: number | null;
  /** The database has taken its claim of that term, as far as it knows. */
  mayWrite: boolean;
  health: Health;
  /** Its clock shows offsetMs + rate * the simulation's time. */
  readonly clock: { readonly rate: number; offsetMs: number };
}

export function newMachine(
  { id }: Member,
  setup: { config: Config; generation: number; clock: Machine['clock'] },
): Machine {
  return {
    id,
    ...setup,
    bootCount: 0,
    state: null,
    wanted: false,
    persisted: null,
    fileSaysAbstaining: false,
    fileLost: false,
    owed: null,
    diskFull: false,
    writeMs: 0,
    dying: null,
    settings: null,
    pausedUntil: 0,
    waiting: [],
    missedWake: false,
    wakeTicket: 0,
    wakeAt: Infinity,
    leadsTerm: null,
    mayWrite: false,
    health: { fit: true, reason: null, databaseReachable: true, lagMs: 0 },
  };
}

export const shownBy = ({ clock }: Machine, now: Time): Time => clock.offsetMs + clock.rate * now;
/** When the simulation's time makes this clock show `shown`. */
export const momentOf = ({ clock }: Machine, shown: Time): Time => (shown - clock.offsetMs) / clock.rate;
