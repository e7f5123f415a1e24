// Starts services, keeps them running, and takes them down: one process group each, restarted with back-off when it
// ends by itself. Faults on purpose (kill, pause) go through here, since it alone knows the present pid.
// Never knows what a service does: service.ts says how it is started and seen to be up.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describeError } from '../../runtime/failure.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { backOffMs, pause, type BackOff } from '../../runtime/waiting.ts';
import { identify, signalGroup, signalTree, type ProcessIdentity } from '../instance/process-table.ts';
import { RotatingFile } from '../rotating-file.ts';
import type { Service } from '../services/service.ts';
import type { ServiceState, ServiceView } from '../cluster/status.ts';

export interface SupervisorOptions {
  readonly logs: string;
  /** Called after each change of a service's state; `detail` says why. */
  readonly onChange: (view: ServiceView, detail: string | null) => void;
  /** Each line a service prints. */
  readonly onLine: (service: string, line: string) => void;
  /** The groups that run now, whenever that changes. */
  readonly onGroups: (groups: readonly (ProcessIdentity & { name: string })[]) => void;
}

const restartBackOff: BackOff = { firstMs: 200, msMax: 5_000 };
const steadyAfterMs = 10_000; // Up this long, the next restart is quick again.
const tailLines = 15;
/** How long the last lines of an ended process are waited for; a process of another group may hold its output open for longer. */
const lastLinesWithinMs = 300;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #supervised = new Map<string, Supervised>();
  #goingDown = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Resolves when it is up. @throws Error with the end of its log when it does not come up in its time. */
  async start(service: Service): Promise<void> {
    if (this.#goingDown) throw new Error(`${service.name} is not started: everything goes down`);
    const earlier = this.#supervised.get(service.name);
    if (earlier && earlier.view().state !== 'stopped')
      throw new Error(`there is a service ${service.name} already`);
    const supervised = new Supervised(service, this.#options, () => this.#options.onGroups(this.#groups()));
    this.#supervised.set(service.name, supervised);
    await supervised.start();
  }

  views(): ServiceView[] {
    return [...this.#supervised.values()].map((supervised) => supervised.view());
  }

  /** Ends it as a crash would: SIGKILL to all of its processes; it is started again. @throws Error for an unknown or ended one. */
  kill(name: string): number {
    return this.#find(name).kill();
  }
  pause(name: string): number {
    return this.#find(name).pause();
  }
  resume(name: string): number {
    return this.#find(name).resume();
  }

  /** One service after its signal and bound. */
  async stop(name: string): Promise<void> {
    await this.#supervised.get(name)?.stop();
  }
  /** Refuses every start from now on, also of whoever has not heard yet that everything goes down. */
  startNoMore(): void {
    this.#goingDown = true;
  }
  get goesDown(): boolean {
    return this.#goingDown;
  }
  /** Everything, at once and by force. */
  killAll(): void {
    this.startNoMore();
    for (const supervised of this.#supervised.values()) supervised.end();
  }

  #find(name: string): Supervised {
    const supervised = this.#supervised.get(name);
    if (supervised) return supervised;
    throw new Error(`there is no service ${name}; there are ${[...this.#supervised.keys()].join(', ')}`);
  }
  #groups(): (ProcessIdentity & { name: string })[] {
    return [...this.#supervised.values()].flatMap((supervised) => supervised.group() ?? []);
  }
}

class Supervised {
  readonly #service: Service;
  readonly #options: SupervisorOptions;
  readonly #onGroup: () => void;
  readonly #log: RotatingFile;
  readonly #stopping = new AbortController();
  #state: ServiceState = 'starting';
  #child: ChildProcess | undefined;
  #identity: ProcessIdentity | undefined;
  #preparing: Promise<void> | undefined;
  #exited: Promise<void> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();
  #restarts = 0;
  #tail: string[] = [];
  #lastEnd: string | null = null;
  #killedOnPurpose = false;

  constructor(service: Service, options: SupervisorOptions, onGroup: () => void) {
    this.#service = service;
    this.#options = options;
    this.#onGroup = onGroup;
    this.#log = new RotatingFile(join(options.logs, `${service.name}.log`));
  }

  view(): ServiceView {
    const { name, kind, address } = this.#service;
    return {
      name,
      kind,
      state: this.#state,
      address,
      pid: this.#child?.pid ?? null,
      restarts: this.#restarts,
      lastEnd: this.#lastEnd,
      log: this.#log.file,
    };
  }
  group(): (ProcessIdentity & { name: string }) | undefined {
    return this.#identity && { name: this.#service.name, ...this.#identity };
  }

  async start(): Promise<void> {
    await this.#startOnce();
    this.#running = this.#keepRunning();
  }

  kill(): number {
    const pid = this.#livePid();
    this.#killedOnPurpose = true;
    signalTree(pid, 'SIGKILL');
    return pid;
  }
  pause(): number {
    const pid = this.#livePid();
    signalTree(pid, 'SIGSTOP');
    this.#become('paused', 'asked for');
    return pid;
  }
  resume(): number {
    const pid = this.#livePid();
    signalTree(pid, 'SIGCONT');
    if (this.#state === 'paused') this.#become('up', 'resumed');
    return pid;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const pid = this.#child?.pid;
    if (pid !== undefined) {
      this.#become('stopping', null);
      signalTree(pid, 'SIGCONT');
      // To the process alone: it ends its own children in order.
      process.kill(pid, this.#service.stopSignal);
      const over = new AbortController();
      void this.#exited.then(() => over.abort());
      await pause(this.#service.stopWithinMs, over.signal);
      if (!over.signal.aborted) signalTree(pid, 'SIGKILL');
    }
    await this.#preparing?.catch(() => undefined); // Whoever starts it hears of that.
    await this.#exited;
    await this.#running;
    this.#become('stopped', null);
    this.#log.close();
  }
  end(): void {
    this.#stopping.abort();
    const pid = this.#child?.pid;
    if (pid !== undefined) signalTree(pid, 'SIGKILL');
  }

  async #keepRunning(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const upSince = performance.now();
      await this.#exited;
      if (this.#stopping.signal.aborted) return;
      if (performance.now() - upSince > steadyAfterMs) tries = 1;
      this.#become('restarting', this.#lastEnd);
      await pause(backOffMs(restartBackOff, tries), this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      this.#restarts += 1;
      try {
        await this.#startOnce();
      } catch (error) {
        this.#log.line(describeError(error)); // It is tried again, with more patience.
      }
    }
  }

  async #startOnce(): Promise<void> {
    const { name, startWithinMs } = this.#service;
    this.#become('starting', null);
    try {
      this.#preparing = this.#service.prepare?.(this.#stopping.signal);
      await this.#preparing;
    } catch (error) {
      this.#lastEnd = describeError(error);
      throw error;
    }
    if (this.#stopping.signal.aborted) throw new Error(`${name} is being stopped`);
    this.#tail = [];
    const readyLine = this.#spawn();
    const ended = new AbortController();
    void this.#exited.then(() => ended.abort());
    const late = AbortSignal.timeout(startWithinMs);
    const signal = AbortSignal.any([ended.signal, late, this.#stopping.signal]);
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () =>
        reject(
          new Error(
            `${name} ${late.aborted ? `was not up within ${startWithinMs / 1000} s` : 'ended while it started'}${this.#tail.length > 0 ? `, its last lines:\n${this.#tail.map((line) => `  ${lineText(line).slice(0, 500)}`).join('\n')}` : ''}\nThe whole log: ${this.#log.file}`,
          ),
        ),
      );
    });
    try {
      await Promise.race([this.#service.ready?.(signal) ?? readyLine, aborted]);
    } catch (error) {
      if (this.#child?.pid !== undefined) signalGroup(this.#child.pid, 'SIGKILL');
      await this.#exited;
      if (late.aborted) this.#lastEnd = this.#withLastLine(`not up within ${startWithinMs / 1000} s`);
      throw error;
    }
    this.#become('up', null);
  }

  /** @returns a promise of its ReadyLine. */
  #spawn(): Promise<void> {
    const { file, args, env, cwd, uid, gid } = this.#service.command;
    const child = spawn(file, [...args], {
      env: { ...env },
      detached: true, // A group of its own: ended as a whole, and not reached by the terminal's Ctrl-C.
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    this.#child = child;
    this.#killedOnPurpose = false;
    this.#identity = child.pid === undefined ? undefined : identify(child.pid);
    this.#onGroup();
    this.#exited = new Promise((resolve) => {
      const over = (reason: string, saysWhy = true): void => {
        if (this.#child !== child) return;
        this.#child = undefined;
        // What it left of its group must not hold a port or a lock.
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
        this.#identity = undefined;
        this.#onGroup();
        this.#ended(child, { reason, saysWhy })
          .catch((error: unknown) => this.#print(`cleaning up failed: ${describeError(error)}`))
          .finally(resolve);
      };
      child.once('error', (error) => over(`cannot be started: ${error.message}`));
      // A killed process did not know, so that its last line tells of something else.
      child.once('exit', (code, signal) =>
        over(
          this.#killedOnPurpose ? 'killed on purpose' : `ended by ${signal ?? `exit code ${code}`}`,
          signal !== 'SIGKILL',
        ),
      );
    });
    return new Promise((resolve) => {
      for (const output of [child.stdout, child.stderr])
        createInterface({ input: output, crlfDelay: Infinity }).on('line', (line) => {
          this.#print(line);
          if (line.startsWith('{"ready":true')) resolve();
          else this.#options.onLine(this.#service.name, line);
        });
    });
  }

  async #ended(
    child: ChildProcess,
    { reason, saysWhy }: { reason: string; saysWhy: boolean },
  ): Promise<void> {
    // Its end is told before its last lines are read, and they say why.
    const read = new AbortController();
    child.once('close', () => read.abort());
    await pause(lastLinesWithinMs, read.signal);
    const ended = `${reason} at ${clockText()}`;
    this.#lastEnd = saysWhy ? this.#withLastLine(ended) : ended;
    this.#print(reason);
    await this.#service.clean?.();
  }
  #withLastLine(reason: string): string {
    const said = tellingLine(this.#tail);
    return said === undefined ? reason : `${reason}: ${said.slice(0, 500)}`;
  }

  #print(line: string): void {
    this.#log.line(line);
    this.#tail.push(line.slice(0, 4_000)); // Of JSON, all of it.
    if (this.#tail.length > tailLines) this.#tail.shift();
  }
  #livePid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#service.name} does not run now (it is ${this.#state})`);
    return pid;
  }
  #become(state: ServiceState, detail: string | null): void {
    this.#state = state;
    this.#options.onChange(this.view(), detail);
  }
}

/** `12:00:05` of the launcher's own time zone. */
const clockText = (): string => new Date().toTimeString().slice(0, 8);

/** A line as people read it: of our own lines of JSON the message alone, which names the reason; a stack says no more. */
export function lineText(line: string): string {
  const { msg } = (parseJson(line) ?? {}) as { msg?: unknown };
  return typeof msg === 'string' ? msg : line;
}

/** The last line that may say why: none of a stack trace, and of our own lines of JSON the messages that tell of trouble. */
export function tellingLine(lines: readonly string[]): string | undefined {
  for (const line of lines.toReversed()) {
    if (!/^\S/.test(line) || /^(?:Node\.js v|[\]})]|Emitted ')/.test(line)) continue;
    const said = line.startsWith('{') ? troubleIn(line) : line;
    if (said !== undefined) return said;
  }
  return undefined;
}

function troubleIn(json: string): string | undefined {
  const line = parseJson(json) as { level?: unknown; msg?: unknown } | undefined;
  if (!line) return json; // Cut off, or no JSON.
  const { level, msg } = line;
  return typeof msg === 'string' && level !== 'info' && level !== 'debug' ? msg : undefined;
}
