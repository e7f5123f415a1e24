// One process that runs one function, one invocation at a time: from its start, over cold and warm invocations, to
// its end by timeout, memory, crash or idleness. It decides nothing about who is invoked when: function-pool.ts does.
import { bundleHandler } from '../../functions/bundle.ts';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { FunctionSettings } from '../../contracts/topology.ts';
import type { FunctionLog } from './function-log.ts';
import { initMsMax, logTailBytes, responseBytesMax } from './limits.ts';

export interface FunctionCode {
  readonly name: string;
  readonly arn: string;
  readonly settings: FunctionSettings;
  /** The unpacked zip. */
  readonly taskRoot: string;
  readonly region: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface Invocation {
  readonly requestId: string;
  /** JSON */
  readonly payload: Buffer;
  /** JSON, as the caller sent it in X-Amz-Client-Context. */
  readonly clientContext?: string | undefined;
  readonly traceId: string;
}

/** `failed`: X-Amz-Function-Error is Unhandled and the payload is `{ errorType, errorMessage, trace? }`. */
export interface Outcome {
  readonly kind: 'answered' | 'failed';
  readonly payload: Buffer;
  /** The last 4 KB that the function printed during this invocation, as far as they have come through. */
  readonly logTail: () => Buffer;
}

/** The process ended between two invocations, before it took this one: another environment may run it. */
export interface NotStarted {
  readonly kind: 'not-started';
}

interface Running {
  readonly invocation: Invocation;
  readonly resolve: (outcome: Outcome | NotStarted) => void;
  startedAt: number | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** How the Runtime API answers the process that asks for its next invocation. */
export type Deliver = (invocation: Invocation, about: { deadlineMs: number; arn: string }) => void;

const bootstrapFile = fileURLToPath(new URL('bootstrap.ts', import.meta.url));
const memoryLookEveryMs = 200;

export class ExecutionEnvironment {
  /** Secret: it is the path under which the process reaches its Runtime API, so that no other process can answer for it. */
  readonly token = randomBytes(16).toString('hex');
  readonly pid: number | undefined;
  readonly #code: FunctionCode;
  readonly #log: FunctionLog;
  readonly #child: ChildProcess;
  readonly #onEnd: () => void;
  readonly #exited: Promise<void>;
  readonly #spawnedAt = performance.now();
  #deliver: Deliver | undefined;
  #running: Running | undefined;
  #ended = false;
  #initTimer: NodeJS.Timeout | undefined;
  #initMs: number | undefined;
  #initialised = false;
  #memoryTimer: NodeJS.Timeout | undefined;
  #memoryMbMax = 0;
  #tail: Buffer[] = [];
  #tailBytes = 0;
  /** performance.now() of the end of the last invocation. */
  idleSince = performance.now();

  constructor(options: {
    code: FunctionCode;
    /** host:port of the Runtime API */
    runtimeApi: string;
    log: FunctionLog;
    onEnd: () => void;
  }) {
    this.#code = options.code;
    this.#log = options.log;
    this.#onEnd = options.onEnd;
    const { name, settings } = options.code;
    this.#child = spawn(
      process.execPath,
      [`--max-old-space-size=${Math.floor(settings.memoryMb * 0.9)}`, bootstrapFile, name],
      {
        cwd: options.code.taskRoot,
        stdio: ['pipe', 'pipe', 'pipe'],
        env: this.#variables(options.runtimeApi),
      },
    );
    this.pid = this.#child.pid;
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#end(exitError(`its process could not be started: ${error.message}`));
        resolve();
      });
      this.#child.once('exit', (code, signal) => {
        this.#end(exitError(exitReason(code, signal)));
        resolve();
      });
    });
    for (const output of [this.#child.stdout, this.#child.stderr])
      if (output)
        createInterface({ input: output, crlfDelay: Infinity }).on('line', (line) => this.#printed(line));
    this.#child.stdin?.on('error', () => this.#log.debug(`${name}: its process closed standard input`));
    this.#initTimer = setTimeout(
      () =>
        this.#kill({
          errorType: 'Sandbox.Timedout',
          errorMessage: `Error: Init timed out after ${(initMsMax / 1000).toFixed(2)} seconds`,
        }),
      initMsMax,
    );
    this.#memoryTimer = setInterval(() => this.#lookAtMemory(), memoryLookEveryMs);
  }

  get busy(): boolean {
    return this.#running !== undefined;
  }
  get ended(): boolean {
    return this.#ended;
  }

  /** Only for one that is neither busy nor ended. Always resolves: a crash, a timeout and a failed start are outcomes. */
  invoke(invocation: Invocation): Promise<Outcome | NotStarted> {
    return new Promise((resolve) => {
      this.#running = { invocation, resolve, startedAt: undefined, timer: undefined };
      this.#tail = [];
      this.#tailBytes = 0;
      this.#handOver();
    });
  }

  /** The process asks for work; the first time, this ends its initialisation. */
  next(deliver: Deliver): void {
    clearTimeout(this.#initTimer);
    this.#initTimer = undefined;
    if (!this.#initialised) this.#initMs = performance.now() - this.#spawnedAt;
    this.#initialised = true;
    this.#deliver = deliver;
    this.#handOver();
  }

  /** @returns false when that invocation is not, or no longer, this process' own. */
  answer(requestId: string, kind: 'answered' | 'failed', payload: Buffer): boolean {
    if (this.#running?.invocation.requestId !== requestId) return false;
    this.#settle(kind, payload);
    return true;
  }

  answerTooLarge(requestId: string, bytes: number): boolean {
    return this.answer(
      requestId,
      'failed',
      errorBytes({
        errorType: 'Function.ResponseSizeTooLarge',
        errorMessage: `Response payload size (${bytes} bytes) exceeded maximum allowed payload size (${responseBytesMax} bytes).`,
      }),
    );
  }

  initFailed(payload: Buffer): void {
    if (!this.#initialised) this.#settle('failed', payload);
    this.#kill(exitError('its initialisation failed'));
  }

  /** Ends the process at once; what runs in it fails. Resolves when it is gone. */
  async end(): Promise<void> {
    this.#kill({ errorType: 'Runtime.ExitError', errorMessage: 'Error: the environment was shut down' });
    await this.#exited;
  }

  #handOver(): void {
    const running = this.#running;
    const deliver = this.#deliver;
    if (!running || !deliver || running.startedAt !== undefined) return;
    this.#deliver = undefined;
    const timeoutMs = this.#code.settings.timeoutS * 1000;
    running.startedAt = performance.now();
    running.timer = setTimeout(
      () =>
        this.#kill({
          errorType: 'Sandbox.Timedout',
          errorMessage: `Error: Task timed out after ${this.#code.settings.timeoutS.toFixed(2)} seconds`,
        }),
      timeoutMs,
    );
    deliver(running.invocation, { deadlineMs: Date.now() + timeoutMs, arn: this.#code.arn });
  }

  #kill(error: { errorType: string; errorMessage: string }): void {
    this.#end(error);
    this.#child.kill('SIGKILL');
  }

  #end(error: { errorType: string; errorMessage: string }): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#initTimer);
    clearInterval(this.#memoryTimer);
    const running = this.#running;
    if (running && running.startedAt === undefined && this.#initialised) {
      this.#running = undefined;
      running.resolve({ kind: 'not-started' });
    } else if (running) {
      const errorMessage = `RequestId: ${running.invocation.requestId} ${error.errorMessage}`;
      this.#settle('failed', errorBytes({ ...error, errorMessage }));
    }
    this.#onEnd();
  }

  #settle(kind: 'answered' | 'failed', payload: Buffer): void {
    const running = this.#running;
    if (!running) return;
    clearTimeout(running.timer);
    this.#running = undefined;
    this.idleSince = performance.now();
    const durationMs = running.startedAt === undefined ? 0 : this.idleSince - running.startedAt;
    this.#log.report({
      requestId: running.invocation.requestId,
      status: kind === 'answered' ? 'success' : 'error',
      durationMs: Math.round(durationMs * 100) / 100,
      memorySizeMb: this.#code.settings.memoryMb,
      memoryUsedMbMax: Math.round(this.#memoryMbMax),
      initMs: this.#initMs === undefined ? undefined : Math.round(this.#initMs),
    });
    this.#initMs = undefined;
    const tail = this.#tail;
    running.resolve({ kind, payload, logTail: () => Buffer.concat(tail).subarray(-logTailBytes) });
  }

  #printed(line: string): void {
    this.#log.line(line);
    const bytes = Buffer.from(`${line}\n`);
    this.#tail.push(bytes);
    this.#tailBytes += bytes.length;
    for (
      let first = this.#tail[0];
      first && this.#tailBytes - first.length >= logTailBytes;
      first = this.#tail[0]
    ) {
      this.#tail.shift();
      this.#tailBytes -= first.length;
    }
  }

  /** V8's own limit covers its heap; buffers are outside of it. Only Linux says what a process holds. */
  #lookAtMemory(): void {
    const memoryMb = residentMb(this.pid);
    if (memoryMb === undefined || this.#ended) return;
    this.#memoryMbMax = Math.max(this.#memoryMbMax, memoryMb);
    if (memoryMb <= this.#code.settings.memoryMb) return;
    this.#log.warn(
      `${this.#code.name} holds ${Math.round(memoryMb)} MB of its ${this.#code.settings.memoryMb} MB: ended`,
    );
    this.#kill(exitError('signal: killed'));
  }

  /** https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html; nothing of the host's own gets in. */
  #variables(runtimeApi: string): Record<string, string> {
    const { name, settings, region, taskRoot, environment } = this.#code;
    return {
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      ...environment,
      LANG: 'en_US.UTF-8',
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      TZ: ':UTC',
      _HANDLER: bundleHandler,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
      AWS_LAMBDA_FUNCTION_NAME: name,
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(settings.memoryMb),
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
      AWS_LAMBDA_LOG_STREAM_NAME: `${new Date().toISOString().slice(0, 10).replaceAll('-', '/')}/[$LATEST]${this.token.slice(16)}`,
      AWS_LAMBDA_LOG_FORMAT: 'JSON',
      AWS_LAMBDA_RUNTIME_API: `${runtimeApi}/${this.token}`,
      LAMBDA_TASK_ROOT: taskRoot,
      LAMBDA_RUNTIME_DIR: fileURLToPath(new URL('.', import.meta.url)),
    };
  }
}

function exitError(reason: string): { errorType: string; errorMessage: string } {
  return { errorType: 'Runtime.ExitError', errorMessage: `Error: Runtime exited with error: ${reason}` };
}

function exitReason(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal !== null) return `signal: ${signal === 'SIGKILL' ? 'killed' : signal}`;
  return `exit status ${code ?? 0}`;
}

function errorBytes(error: { errorType: string; errorMessage: string }): Buffer {
  return Buffer.from(JSON.stringify(error));
}

/** Read in place: these files are made by the kernel as they are read, and a trip through the thread pool costs ten times as much. */
function residentMb(pid: number | undefined): number | undefined {
  if (pid === undefined || process.platform !== 'linux') return undefined;
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
  } catch {
    return undefined; // It has just ended.
  }
}
