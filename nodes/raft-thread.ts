// The main thread's handle on the raft thread: what it says about role and term, and what the node tells it.
// Proves with a shared counter that the main thread lives. When the raft thread dies the node must end: without
// votes it is of no use, and its last role must not be believed. Never decides anything about elections.
import { Worker } from 'node:worker_threads';
import type { Member } from '../contracts/environment.ts';
import { takeIdentityLock } from './identity-lock.ts';
import type { Note, RoleView } from './raft/types.ts';
import {
  pulseEveryMs,
  type FromWorker,
  type HealthReport,
  type RaftStatus,
  type RaftWorkerData,
  type ToWorker,
} from './raft-messages.ts';
import { yieldThisThread } from './raft-priority.ts';
import type { ClusterKeys } from './transport/cluster-keys.ts';

export { clusterKeysSchema, type ClusterKeys } from './transport/cluster-keys.ts';
export type { RaftStatus } from './raft-messages.ts';

export interface RaftThreadOptions {
  /** The uuid that the database made; it stands in the vote file and in every datagram. */
  clusterId: string;
  nodeId: string;
  /** 32 hex digits, new at each start. */
  bootId: string;
  generation: number;
  members: readonly Member[];
  /** Address of UDP and TCP alike. */
  bind: string;
  udpPort: number;
  /** Holds the vote file and the identity lock. */
  dataDir: string;
  keys: ClusterKeys;
  heartbeatMs: number;
  electionTimeoutMs: number;
  priority: number;
  /** The database has seen this node before: then a missing vote file is 'lost', not 'first'. */
  knownToDatabase: boolean;
  /** Of this node, when it started the last time, as the database recorded it: a vote file that says less is an older one. */
  recordedTerm?: number;
  /** The highest term recorded by the members when the database admitted this start; 0 when it was not asked. */
  termAtLeast: number;
}

export interface RaftThread {
  /** The last one pushed by the raft thread: on every change of role, and every 200 ms. */
  status(): RaftStatus;
  onRole(listener: (change: { role: RoleView; term: number; reason: string }) => void): void;
  onNote(listener: (note: Note) => void): void;
  /** What a person has to put right: a peer of another cluster, release, generation or key. Rate-limited. */
  onProblem(listener: (problem: { code: string; detail: string }) => void): void;
  /**
   * The raft thread died. The role is `follower` without a leader from then on, and onRole was told so. Without a
   * listener the error is thrown where nobody catches it, so that the process ends.
   */
  onDeath(listener: (error: Error) => void): void;
  reportHealth(health: HealthReport): void;
  fenceRefused(databaseTerm: number): void;
  /** Takes up rolled cluster keys while it runs: see docs/protocol.md. */
  useKeys(keys: ClusterKeys): void;
  /** Resolves within two election timeouts and `transferSlackMs`, whatever happens. */
  transfer(
    target: string | null,
    reason: string,
  ): Promise<{ kind: 'done' } | { kind: 'failed'; reason: string }>;
  /** Closes sockets and files and frees the identity; does not hand leadership over (see transfer). */
  close(): Promise<void>;
}

// A boot's counter is the cipher's nonce and starts at 1, so a boot that starts twice would use nonces twice.
const bootsUsed = new Set<string>();

const startWithinMs = 30_000; // Loading its modules takes a busy machine seconds.
const closeWithinMs = 2_000;
const transferSlackMs = 250;

/** @throws Error when an option is wrong, the identity is taken, the vote file is foreign or cannot be made, or a port is in use. */
export async function startRaftThread(options: RaftThreadOptions): Promise<RaftThread> {
  const { nodeId, bootId, members, udpPort } = options;
  if (!members.some(({ id }) => id === nodeId))
    throw new Error(`${nodeId} is not among the members ${members.map(({ id }) => id).join(', ')}`);
  if (!/^[0-9a-f]{32}$/.test(bootId)) throw new Error(`the boot id ${bootId} is not 32 hex digits`);
  if (bootsUsed.has(bootId))
    throw new Error(`the boot id ${bootId} was used before: each start needs its own`);
  // UDP and TCP share the number, so the system cannot choose it.
  if (udpPort === 0) throw new Error('the UDP port of a node has to be a fixed one');
  const unlock = takeIdentityLock(options);
  bootsUsed.add(bootId);
  try {
    return await new Handle(options, unlock).started;
  } catch (error) {
    unlock();
    throw error;
  }
}

type TransferResult = Awaited<ReturnType<RaftThread['transfer']>>;

class Handle implements RaftThread {
  readonly started: Promise<RaftThread>;
  readonly #worker: Worker;
  readonly #pulse = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #beat: NodeJS.Timeout;
  readonly #electionTimeoutMs: number;
  readonly #release: () => void;
  readonly #roleListeners: ((change: { role: RoleView; term: number; reason: string }) => void)[] = [];
  readonly #noteListeners: ((note: Note) => void)[] = [];
  readonly #problemListeners: ((problem: { code: string; detail: string }) => void)[] = [];
  readonly #deathListeners: ((error: Error) => void)[] = [];
  #status: RaftStatus = {
    role: { kind: 'follower', leader: null },
    term: 0,
    peers: {},
    abstaining: false,
    counters: {},
  };
  #phase: 'starting' | 'running' | 'closing' | 'dead' = 'starting';
  #failure: Error | undefined;

  constructor(options: RaftThreadOptions, release: () => void) {
    this.#electionTimeoutMs = options.electionTimeoutMs;
    this.#release = release;
    const data: RaftWorkerData = { ...options, pulse: this.#pulse };
    this.#worker = new Worker(new URL('./raft-worker.ts', import.meta.url), {
      name: `raft ${options.nodeId}`,
      workerData: data,
      // Flags of whoever runs this process (a test runner's loaders) are not the thread's.
      execArgv: [],
      // It holds a few kilobytes; a leak should end it loudly rather than starve the node.
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
    });
    const counter = new Int32Array(this.#pulse);
    this.#beat = setInterval(() => Atomics.add(counter, 0, 1), pulseEveryMs);
    this.started = this.#start();
  }

  #start(): Promise<RaftThread> {
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        reject(new Error(`the raft thread did not start within ${startWithinMs} ms`));
        void this.#worker.terminate();
      }, startWithinMs);
      this.#worker.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') {
          this.#phase = 'running';
          this.#status = message.status;
          if (!message.raised) yieldThisThread();
          clearTimeout(deadline);
          resolve(this);
        } else this.#receive(message);
      });
      this.#worker.on('error', (error) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      });
      this.#worker.on('exit', (code) => {
        clearTimeout(deadline);
        clearInterval(this.#beat);
        const error = this.#failure ?? new Error(`the raft thread ended with code ${code}`);
        if (this.#phase === 'starting') reject(error);
        else if (this.#phase === 'running') this.#die(error);
      });
    });
  }

  #receive(message: Exclude<FromWorker, { kind: 'ready' }>): void {
    switch (message.kind) {
      case 'failed-to-start':
        this.#failure = new Error(message.reason);
        break;
      case 'status':
        this.#status = message.status;
        break;
      case 'role': {
        const { role, term, reason } = message;
        this.#status = { ...this.#status, role, term };
        for (const listener of this.#roleListeners) listener({ role, term, reason });
        break;
      }
      case 'note':
        for (const listener of this.#noteListeners) listener(message.note);
        break;
      case 'problem':
        for (const listener of this.#problemListeners)
          listener({ code: message.code, detail: message.detail });
        break;
      case 'closed':
        break;
    }
  }

  #die(cause: Error): void {
    this.#phase = 'dead';
    this.#release();
    const error = new Error('the raft thread died, so this node cannot vote or lead', { cause });
    const role: RoleView = { kind: 'follower', leader: null };
    this.#status = { ...this.#status, role };
    for (const listener of this.#roleListeners)
      listener({ role, term: this.#status.term, reason: error.message });
    if (this.#deathListeners.length === 0)
      setImmediate(() => {
        throw error;
      });
    for (const listener of this.#deathListeners) listener(error);
  }

  status(): RaftStatus {
    return this.#status;
  }
  onRole(listener: (change: { role: RoleView; term: number; reason: string }) => void): void {
    this.#roleListeners.push(listener);
  }
  onNote(listener: (note: Note) => void): void {
    this.#noteListeners.push(listener);
  }
  onProblem(listener: (problem: { code: string; detail: string }) => void): void {
    this.#problemListeners.push(listener);
  }
  onDeath(listener: (error: Error) => void): void {
    this.#deathListeners.push(listener);
  }

  reportHealth(health: HealthReport): void {
    this.#tell({ kind: 'health', health });
  }
  fenceRefused(databaseTerm: number): void {
    this.#tell({ kind: 'fence-refused', databaseTerm });
  }

  useKeys(keys: ClusterKeys): void {
    this.#tell({ kind: 'keys', keys });
  }

  async transfer(target: string | null, reason: string): Promise<TransferResult> {
    if (this.#phase !== 'running') return { kind: 'failed', reason: 'the raft thread does not run' };
    if (this.#status.role.kind !== 'leader') return { kind: 'failed', reason: 'this node does not lead' };
    const withinMs = 2 * this.#electionTimeoutMs + transferSlackMs;
    return new Promise<TransferResult>((resolve) => {
      const onNote = (note: Note): void => {
        if (note.kind !== 'transfer' || note.outcome === 'started') return;
        settle(note.outcome === 'done' ? { kind: 'done' } : { kind: 'failed', reason: note.reason });
      };
      const deadline = setTimeout(() => {
        const leads = this.#status.role.kind === 'leader';
        settle(
          leads ? { kind: 'failed', reason: `nobody took over within ${withinMs} ms` } : { kind: 'done' },
        );
      }, withinMs);
      const settle = (result: TransferResult): void => {
        clearTimeout(deadline);
        this.#noteListeners.splice(this.#noteListeners.indexOf(onNote), 1);
        resolve(result);
      };
      this.#noteListeners.push(onNote);
      this.#tell({ kind: 'transfer', target, reason });
    });
  }

  async close(): Promise<void> {
    if (this.#phase !== 'running') return;
    this.#phase = 'closing';
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    this.#tell({ kind: 'close' }, 'closing');
    const deadline = setTimeout(() => void this.#worker.terminate(), closeWithinMs);
    await ended;
    clearTimeout(deadline);
    clearInterval(this.#beat);
    this.#release();
  }

  #tell(message: ToWorker, during: 'running' | 'closing' = 'running'): void {
    if (this.#phase === during) this.#worker.postMessage(message, []);
  }
}
