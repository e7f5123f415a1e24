// What the raft thread is started with, and what it and the main thread of its node say to each other. Types only, and the
// pace of the one shared counter.
import type { Member } from '../../contracts/environment.ts';
import type { Note, RoleView } from '../raft/types.ts';
import type { ClusterKeys } from '../../contracts/secrets.ts';

export interface RaftThreadOptions {
  /** The uuid that the database made; it stands in the vote file and in every datagram. */
  readonly clusterId: string;
  readonly nodeId: string;
  /** 32 hex digits, new at each start. */
  readonly bootId: string;
  readonly generation: number;
  readonly members: readonly Member[];
  /** Address of UDP and TCP alike. */
  readonly bind: string;
  readonly udpPort: number;
  /** Holds the vote file. */
  readonly dataDir: string;
  readonly keys: ClusterKeys;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  readonly priority: number;
  /** The database has seen this node before: then a missing vote file is 'lost', not 'first'. */
  readonly knownToDatabase: boolean;
  /** Of this node, when it started the last time, as the database recorded it: a vote file that says less is an older one. */
  readonly recordedTerm?: number;
  /** The highest term recorded by the members when the database admitted this start; 0 when it was not asked. */
  readonly termAtLeast: number;
}

/** What the worker gets: the options, and the counter that the main thread bumps while it lives. */
export interface RaftWorkerData extends RaftThreadOptions {
  /** One 32-bit integer. */
  readonly pulse: SharedArrayBuffer;
}

/** How often the main thread bumps the pulse. */
export const pulseEveryMs = 50;
/** A main thread that stood still this long must not lead (it may come back and think it does). */
export const stallLimitMs = (electionTimeoutMs: number) => Math.max(1_000, 5 * electionTimeoutMs);

export interface RaftStatus {
  readonly role: RoleView;
  readonly term: number;
  /** `lastContactMs`: age, at the time of this status, of the last sealed datagram of the peer's present boot. */
  readonly peers: Readonly<Record<string, { readonly lastContactMs: number | null }>>;
  readonly abstaining: boolean;
  /** `sent`, `received`, `refused.<reason>`, `send-error.<code>`, `evidence.*`, `persisted`, `late-timers` ... */
  readonly counters: Readonly<Record<string, number>>;
}

export interface RoleChange {
  readonly role: RoleView;
  readonly term: number;
  readonly reason: string;
}

export interface RaftProblem {
  readonly code: string;
  readonly detail: string;
}

export interface HealthReport {
  readonly databaseReachable: boolean;
  readonly fit: boolean;
  readonly reason: string | null;
}

export type ToWorker =
  | { readonly kind: 'health'; readonly health: HealthReport }
  | { readonly kind: 'fence-refused'; readonly databaseTerm: number }
  | {
      readonly kind: 'transfer';
      readonly id: number;
      readonly target: string | null;
      readonly reason: string;
    }
  | { readonly kind: 'keys'; readonly keys: ClusterKeys }
  | { readonly kind: 'close' };

export type FromWorker =
  /** `raised`: the system schedules this thread before the main one. */
  | { readonly kind: 'ready'; readonly status: RaftStatus; readonly raised: boolean }
  | { readonly kind: 'failed-to-start'; readonly reason: string }
  | { readonly kind: 'status'; readonly status: RaftStatus }
  | ({ readonly kind: 'role' } & RoleChange)
  | { readonly kind: 'note'; readonly note: Note }
  /** Notes of a hand-over from here on tell of this one; before, of one that this node's health began. */
  | { readonly kind: 'transfer-taken'; readonly id: number }
  | ({ readonly kind: 'problem' } & RaftProblem)
  | { readonly kind: 'closed' };
