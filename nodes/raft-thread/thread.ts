// The main thread's handle on the raft thread: what it says about role and term, and what the node tells it.
// Proves with a shared counter that the main thread lives, and looks that the raft thread does. When that dies the node must
// end: without votes it is of no use, and its last role must not be believed; nor must the one of a thread that hangs.
// Never decides anything about elections, and leaves it to its caller that one process runs as this node (identity-lock.ts).
import { EventEmitter } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Note, RoleView } from '../raft/types.ts';
import {
  pulseEveryMs,
  stallLimitMs,
  type FromWorker,
  type HealthReport,
  type RaftProblem,
  type RaftStatus,
  type RaftThreadOptions,
  type RaftWorkerData,
  type RoleChange,
  type ToWorker,
} from './messages.ts';
import { yieldThisThread } from './priority.ts';
import type { ClusterKeys } from '../../contracts/secrets.ts';

export type { RaftStatus, RaftThreadOptions } from './messages.ts';

export interface RaftThread {
  /** The last one pushed by the raft thread: on every change of role, and every 200 ms. */
  status(): RaftStatus;
  onRole(listener: (change: RoleChange) => void): void;
  onNote(listener: (note: Note) => void): void;
  /** What a person has to put right: a peer of another cluster, release, generation or key. Rate-limited. */
  onProblem(listener: (problem: RaftProblem) => void): void;
  /**
   * The raft thread died. The role is `follower` without a leader from then on, and onRole was told so. Without a
   * listener the error is thrown where nobody catches it, so that the process ends.
   */
  onDeath(listener: (error: Error) => void): void;
  reportHealth(health: HealthReport): void;
  fenceRefused(databaseTerm: number): void;
  /** Takes up rolled cluster keys while it runs: see docs/protocol.md. @throws Error for another key under an id that is in use. */
  useKeys(keys: ClusterKeys): void;
  /** Resolves within two election timeouts and `transferSlackMs`, whatever happens. */
  transfer(
    target: string | null,
    reason: string,
  ): Promise<{ kind: 'done' } | { kind: 'failed'; reason: string }>;
  /** Closes sockets and files; does not hand leadership over (see transfer). */
  close(): Promise<void>;
}

// A boot's counter is the cipher's nonce and starts at 1, so a boot that starts twice would use nonces twice.
const bootsUsed = new Set<string>();

const startWithinMs = 30_000; // Loading its modules takes a busy machine seconds.
const closeWithinMs = 2_000;
const transferSlackMs = 250;

/** @throws Error when an option is wrong, the vote file is foreign or cannot be made, or a port is in use. */
export async function startRaftThread(options: RaftThreadOptions): Promise<RaftThread> {
  const { nodeId, bootId, members, udpPort } = options;
  if (!members.some(({ id }) => id === nodeId))
    throw new Error(`${nodeId} is not among the members ${members.map(({ id }) => id).join(', ')}`);
  if (!/^[0-9a-f]{32}$/.test(bootId)) throw new Error(`the boot id ${bootId} is not 32 hex digits`);
  if (bootsUsed.has(bootId))
    throw new Error(`the boot id ${bootId} was used before: each start needs its own`);
  // UDP and TCP share the number, so the system cannot choose it.
  if (udpPort === 0) throw new Error('the UDP port of a node has to be a fixed one');
  bootsUsed.add(bootId);
  return new Handle(options).started;
}

type TransferResult = Awaited<ReturnType<RaftThread['transfer']>>;

class Handle implements RaftThread {
  readonly started: Promise<RaftThread>;
  readonly #worker: Worker;
  readonly #pulse = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #beat: NodeJS.Timeout;
  readonly #electionTimeoutMs: number;
  readonly #told = new EventEmitter<{
    role: [RoleChange];
    note: [Note];
    problem: [RaftProblem];
    'transfer-taken': [number];
    death: [Error];
  }>();
  #status: RaftStatus = {
    role: { kind: 'follower', leader: null },
    term: 0,
    peers: {},
    abstaining: false,
    counters: {},
  };
  #keys: ClusterKeys;
  #phase: 'starting' | 'running' | 'closing' | 'dead' = 'starting';
  #beatAt = performance.now();
  /** How long the raft thread has said nothing while this one moved. */
  #silentMs = 0;
  #hangs = false;
  /** One hand-over at a time: a note does not say whose it tells of. */
  #transfers: Promise<unknown> = Promise.resolve();
  #transferId = 0;
  #failure: Error | undefined;

  constructor(options: RaftThreadOptions) {
    this.#electionTimeoutMs = options.electionTimeoutMs;
    this.#keys = options.keys;
    const data: RaftWorkerData = { ...options, pulse: this.#pulse };
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: `raft ${options.nodeId}`,
      workerData: data,
      // Flags of whoever runs this process (a test runner's loaders) are not the thread's.
      execArgv: [],
      // It holds a few kilobytes; a leak should end it loudly rather than starve the node.
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
    });
    const counter = new Int32Array(this.#pulse);
    this.#beat = setInterval(() => {
      Atomics.add(counter, 0, 1);
      this.#listen();
    }, pulseEveryMs);
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

  /** A disk that never answers holds the raft thread up, and it can neither lead nor say so. */
  #listen(): void {
    const now = performance.now();
    // When this thread stood still too (a suspended machine), the other one is not to blame.
    this.#silentMs += Math.min(now - this.#beatAt, 2 * pulseEveryMs);
    this.#beatAt = now;
    if (this.#phase !== 'running' || this.#hangs || this.#silentMs <= stallLimitMs(this.#electionTimeoutMs))
      return;
    this.#hangs = true;
    const reason = `the raft thread has said nothing for ${Math.round(this.#silentMs)} ms: does the disk of the vote file answer?`;
    this.#told.emit('problem', { code: 'INTERNAL', detail: reason });
    this.#followNobody(reason);
  }

  #followNobody(reason: string): void {
    const role: RoleView = { kind: 'follower', leader: null };
    this.#status = { ...this.#status, role };
    this.#told.emit('role', { role, term: this.#status.term, reason });
  }

  #receive(message: Exclude<FromWorker, { kind: 'ready' }>): void {
    this.#silentMs = 0;
    switch (message.kind) {
      case 'failed-to-start':
        this.#failure = new Error(message.reason);
        break;
      case 'status':
        this.#status = message.status;
        if (this.#hangs)
          this.#told.emit('role', {
            role: message.status.role,
            term: message.status.term,
            reason: 'the raft thread goes on',
          });
        this.#hangs = false;
        break;
      case 'role': {
        this.#hangs = false;
        const { role, term, reason } = message;
        this.#status = { ...this.#status, role, term };
        this.#told.emit('role', { role, term, reason });
        break;
      }
      case 'note':
        this.#told.emit('note', message.note);
        break;
      case 'transfer-taken':
        this.#told.emit('transfer-taken', message.id);
        break;
      case 'problem':
        this.#told.emit('problem', { code: message.code, detail: message.detail });
        break;
      case 'closed':
        break;
    }
  }

  #die(cause: Error): void {
    this.#phase = 'dead';
    const error = new Error('the raft thread died, so this node cannot vote or lead', { cause });
    this.#followNobody(error.message);
    const isHeard = this.#told.emit('death', error);
    if (!isHeard)
      setImmediate(() => {
        throw error;
      });
  }

  status(): RaftStatus {
    return this.#status;
  }
  onRole(listener: (change: RoleChange) => void): void {
    this.#told.on('role', listener);
  }
  onNote(listener: (note: Note) => void): void {
    this.#told.on('note', listener);
  }
  onProblem(listener: (problem: RaftProblem) => void): void {
    this.#told.on('problem', listener);
  }
  onDeath(listener: (error: Error) => void): void {
    this.#told.on('death', listener);
  }

  reportHealth(health: HealthReport): void {
    this.#tell({ kind: 'health', health });
  }
  fenceRefused(databaseTerm: number): void {
    this.#tell({ kind: 'fence-refused', databaseTerm });
  }
  useKeys(keys: ClusterKeys): void {
    const known = [this.#keys.current, this.#keys.previous];
    for (const { id, key } of [keys.current, keys.previous ?? keys.current])
      if (known.some((one) => one?.id === id && one.key !== key))
        throw new Error(
          `the cluster key with id ${id} is another one than is in use under that id: a new key needs a new id`,
        );
    this.#keys = keys;
    this.#tell({ kind: 'keys', keys });
  }

  transfer(target: string | null, reason: string): Promise<TransferResult> {
    const turn = this.#transfers.then(() => this.#transferNow(target, reason));
    this.#transfers = turn;
    return turn;
  }

  async #transferNow(target: string | null, reason: string): Promise<TransferResult> {
    if (this.#phase !== 'running') return { kind: 'failed', reason: 'the raft thread does not run' };
    if (this.#status.role.kind !== 'leader') return { kind: 'failed', reason: 'this node does not lead' };
    const id = (this.#transferId += 1);
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
      const onTaken = (taken: number): void => {
        if (taken === id) this.#told.on('note', onNote);
      };
      const settle = (result: TransferResult): void => {
        clearTimeout(deadline);
        this.#told.off('transfer-taken', onTaken).off('note', onNote);
        resolve(result);
      };
      this.#told.on('transfer-taken', onTaken);
      this.#tell({ kind: 'transfer', id, target, reason });
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
  }

  #tell(message: ToWorker, during: 'running' | 'closing' = 'running'): void {
    if (this.#phase === during) this.#worker.postMessage(message, []);
  }
}
