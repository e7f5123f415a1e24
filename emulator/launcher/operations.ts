// What people do to a running system, in their words: look at it, break it, hand leadership over, give a node a new vote
// file, end it. The control listener asks for it. Never starts the system or ends it.
import { join } from 'node:path';
import type { EventDraft } from '../../contracts/event.ts';
import type { FaultList } from '../../contracts/faults.ts';
import { transferAnswerSchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { parseEventLine } from '../../runtime/logger.ts';
import { callLeader } from '../cluster/call-leader.ts';
import { systemStatus, type SystemStatus } from '../cluster/status.ts';
import { handedOver, transferRequest } from '../cluster/transfer.ts';
import { ActiveFaults, activeText, type FaultTargets } from '../faults/active-faults.ts';
import { parseChaos } from '../faults/grammar.ts';
import { runRecovery, runStatement } from '../instance/in-place-of-node.ts';
import { RotatingFile } from '../rotating-file.ts';
import type { Stack } from '../stack/stack.ts';
import { everyPaused, type ControlPorts, type FaultAction } from './control.ts';
import type { Supervisor } from './supervisor.ts';

interface OperationsOptions {
  readonly stack: Stack;
  readonly logs: string;
  readonly supervisor: Supervisor;
  readonly links: FaultTargets['links'];
  readonly show: (event: EventDraft) => void;
}

const did: Readonly<Record<FaultAction, string>> = { kill: 'killed', pause: 'paused', resume: 'resumed' };

export class Operations implements ControlPorts {
  readonly #options: OperationsOptions;
  readonly #active: ActiveFaults;
  readonly #down = Promise.withResolvers<void>();

  constructor(options: OperationsOptions) {
    this.#options = options;
    const { stack, supervisor, links, show } = options;
    this.#active = new ActiveFaults({
      nodes: stack.members.map(({ id }) => id),
      leader: () => this.#leader(),
      links,
      kill: (name) => supervisor.kill(name),
      pause: (name) => supervisor.pause(name),
      resume: (name) => supervisor.resume(name),
      onChange: (change) => show({ type: 'fault.injected', ...change }),
    });
  }

  /** Resolves when somebody asked for the end. */
  get downAsked(): Promise<void> {
    return this.#down.promise;
  }
  down(): void {
    this.#down.resolve();
  }
  /** Forgets the faults in force. */
  close(): void {
    this.#active.close();
  }

  status(): Promise<SystemStatus> {
    const { stack, supervisor } = this.#options;
    return systemStatus(stack.members, supervisor.views(), { faults: this.faults() });
  }

  faults(): FaultList['faults'] {
    return this.#active.list().map(activeText);
  }

  chaos(command: string): Promise<string> {
    return this.#active.carryOut(parseChaos(command));
  }

  async fault(action: FaultAction, target: string): Promise<string> {
    const { supervisor, show } = this.#options;
    if (action === 'resume' && target === everyPaused) return this.#resumeAll();
    const name = target === 'leader' ? await this.#leader() : target;
    const before = supervisor.views().find((view) => view.name === name)?.state;
    const pid = supervisor[action](name);
    if (action === 'resume' && before !== 'paused')
      return `${name} was not paused: it is ${before} (pid ${pid})`;
    show({ type: 'fault.injected', target: name, action, detail: `pid ${pid}` });
    return `${did[action]} ${name} (pid ${pid})`;
  }

  async transfer(target: string): Promise<string> {
    const answer = await callLeader(
      { stack: this.#options.stack, status: () => this.status() },
      { method: 'POST', path: publicRoutes.transfer, role: 'operator', json: transferRequest(target) },
    );
    return handedOver(transferAnswerSchema.parse(answer), target);
  }

  async restart(target: string): Promise<string> {
    const { stack, supervisor } = this.#options;
    const services = [...stack.first, ...stack.next, ...stack.last];
    const service = services.find(({ name }) => name === target);
    if (!service)
      throw new Error(
        `there is no service ${target}; there are ${services.map(({ name }) => name).join(', ')}`,
      );
    await supervisor.stop(service.name);
    try {
      await supervisor.start(service);
    } catch (error) {
      await supervisor.stop(service.name); // Until it is restarted with what it lacks.
      throw error;
    }
    return `${target} runs again`;
  }

  async recover(target: string, how: { by: string; yes: boolean }): Promise<string> {
    const { stack, supervisor, show } = this.#options;
    const node = stack.first.find(({ name, kind }) => kind === 'node' && name === target);
    if (!node)
      throw new Error(
        `there is no node ${target}; there are ${stack.members.map(({ id }) => id).join(', ')}`,
      );
    const { text } = await runRecovery(node, { ...how, yes: false });
    if (!how.yes) return text;
    await supervisor.stop(node.name);
    try {
      const { line } = await runRecovery(node, how);
      this.#log(node.name, line);
      const event = parseEventLine(line);
      if (event) show(event);
    } finally {
      if (!supervisor.goesDown) await supervisor.start(node);
    }
    return `${target} has a new vote file, and runs again`;
  }

  async sql(statement: string): Promise<string> {
    const node = this.#options.stack.first.find(({ kind }) => kind === 'node');
    if (!node) throw new Error('there is no node in whose place it could run');
    return await runStatement(node, statement);
  }

  async #resumeAll(): Promise<string> {
    const paused = this.#options.supervisor.views().filter(({ state }) => state === 'paused');
    const done = await Promise.all(paused.map(({ name }) => this.fault('resume', name)));
    return done.join('\n') || 'nothing is paused';
  }

  async #leader(): Promise<string> {
    const { leader } = await this.status();
    if (leader === null) throw new Error('nobody leads right now');
    return leader;
  }

  /** Beside what the node itself logs: it does not run. */
  #log(service: string, line: string): void {
    const log = new RotatingFile(join(this.#options.logs, `${service}.log`));
    log.line(line);
    log.close();
  }
}
