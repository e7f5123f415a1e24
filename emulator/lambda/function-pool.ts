// Who runs an invocation of one function: a warm environment, a new one, or a place in a bounded queue.
// One environment runs one invocation at a time, as on Lambda.
import { pause } from '../../runtime/waiting.ts';
import {
  ExecutionEnvironment,
  type FunctionCode,
  type Invocation,
  type Outcome,
} from './execution-environment.ts';
import type { FunctionLog } from './function-log.ts';
import { closeGraceMs, environmentsMax, idleMs, waitMsMax, waitingMax } from './limits.ts';

export interface PoolBounds {
  readonly environmentsMax: number;
  readonly waitingMax: number;
  readonly idleMs: number;
}
export const poolBoundsDefault: PoolBounds = { environmentsMax, waitingMax, idleMs };

/** Every environment is busy and the queue is full. */
export interface Throttled {
  readonly kind: 'throttled';
}

interface Waiting {
  readonly invocation: Invocation;
  readonly resolve: (outcome: Outcome | Throttled) => void;
  readonly timer: NodeJS.Timeout;
}

export class FunctionPool {
  readonly code: FunctionCode;
  readonly log: FunctionLog;
  readonly #runtimeApi: () => string;
  readonly #bounds: PoolBounds;
  /** The environments by their tokens. */
  readonly #environments = new Map<string, ExecutionEnvironment>();
  readonly #waiting: Waiting[] = [];
  readonly #sweep: NodeJS.Timeout;
  #closing = false;

  constructor(options: {
    code: FunctionCode;
    log: FunctionLog;
    /** host:port, known once that server listens. */
    runtimeApi: () => string;
    bounds: PoolBounds;
  }) {
    this.code = options.code;
    this.log = options.log;
    this.#runtimeApi = options.runtimeApi;
    this.#bounds = options.bounds;
    this.#sweep = setInterval(() => this.#endIdle(), Math.min(10_000, options.bounds.idleMs));
    this.#sweep.unref();
  }

  invoke(invocation: Invocation): Promise<Outcome | Throttled> {
    if (this.#closing) return Promise.resolve({ kind: 'throttled' });
    const environment = this.#free() ?? this.#start();
    if (environment) return this.#run(environment, invocation);
    if (this.#waiting.length >= this.#bounds.waitingMax) return Promise.resolve({ kind: 'throttled' });
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve({ kind: 'throttled' });
      }, waitMsMax);
      const waiting = { invocation, resolve, timer };
      this.#waiting.push(waiting);
    });
  }

  environment(token: string): ExecutionEnvironment | undefined {
    return this.#environments.get(token);
  }

  pids(): number[] {
    return [...this.#environments.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** Lets what runs end within its grace, then ends every process. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweep);
    for (const waiting of this.#waiting.splice(0)) {
      clearTimeout(waiting.timer);
      waiting.resolve({ kind: 'throttled' });
    }
    const deadline = performance.now() + closeGraceMs;
    while ([...this.#environments.values()].some(({ busy }) => busy) && performance.now() < deadline)
      await pause(20);
    await Promise.all([...this.#environments.values()].map((environment) => environment.end()));
    this.log.close();
  }

  async #run(environment: ExecutionEnvironment, invocation: Invocation): Promise<Outcome | Throttled> {
    const outcome = await environment.invoke(invocation);
    this.#serveWaiting();
    if (outcome.kind === 'not-started') return await this.invoke(invocation);
    return outcome;
  }

  #serveWaiting(): void {
    const [first] = this.#waiting;
    if (!first) return;
    const environment = this.#free() ?? this.#start();
    if (!environment) return;
    this.#waiting.shift();
    clearTimeout(first.timer);
    void this.#run(environment, first.invocation).then(first.resolve);
  }

  /** The one used last is the warmest, and the others grow idle and end. */
  #free(): ExecutionEnvironment | undefined {
    return [...this.#environments.values()]
      .filter((environment) => !environment.busy && !environment.ended)
      .toSorted((a, b) => b.idleSince - a.idleSince)[0];
  }

  #start(): ExecutionEnvironment | undefined {
    if (this.#closing || this.#environments.size >= this.#bounds.environmentsMax) return undefined;
    const environment: ExecutionEnvironment = new ExecutionEnvironment({
      code: this.code,
      runtimeApi: this.#runtimeApi(),
      log: this.log,
      onEnd: () => {
        this.#environments.delete(environment.token);
        this.#serveWaiting();
      },
    });
    this.#environments.set(environment.token, environment);
    return environment;
  }

  #endIdle(): void {
    const before = performance.now() - this.#bounds.idleMs;
    for (const environment of this.#environments.values())
      if (!environment.busy && environment.idleSince < before) void environment.end();
  }
}
