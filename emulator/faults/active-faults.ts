// The faults that are in force on a running system: each has a number, and an end that comes by itself. Carries out one
// command of the grammar at a time. Never reaches into a node: links and processes are handed in.
import { faultText, type ChaosCommand, type Fault, type NetworkFault } from './grammar.ts';
import { lanesOf, linkRules, type LinkRules } from './link-rules.ts';

export interface FaultTargets {
  readonly nodes: readonly string[];
  /** The node that `leader` stands for. @throws Error when nobody leads. */
  leader(): Promise<string>;
  /** Undefined: the system was started without links. */
  readonly links: { apply(rules: LinkRules): Promise<void> } | undefined;
  /** @returns the pid. @throws Error for a service that does not run. */
  readonly kill: (name: string) => number;
  readonly pause: (name: string) => number;
  readonly resume: (name: string) => number;
  readonly onChange: (change: { action: string; target: string; detail: string }) => void;
}

export interface ActiveFault {
  readonly number: number;
  /** The command as the grammar writes it, with the node's name where it said `leader`. */
  readonly text: string;
  readonly healsInMs: number;
}

interface Active {
  readonly fault: Exclude<Fault, { kind: 'kill' }>;
  readonly seed: number;
  readonly until: number;
  readonly timer: NodeJS.Timeout;
}

const activeMax = 100;

export class ActiveFaults {
  readonly #targets: FaultTargets;
  readonly #active = new Map<number, Active>();
  #last = 0;

  constructor(targets: FaultTargets) {
    this.#targets = targets;
  }

  /** @returns what was done, in words. @throws Error with the reason. */
  async carryOut(command: ChaosCommand): Promise<string> {
    switch (command.kind) {
      case 'inject':
        return this.#inject(command);
      case 'heal':
        return this.#heal(command.number);
      case 'list':
        return this.list().map(activeText).join('\n') || 'no fault is active';
    }
  }

  list(): ActiveFault[] {
    return [...this.#active].map(([number, { fault, until }]) => ({
      number,
      text: faultText(fault),
      healsInMs: Math.max(0, Math.round(until - performance.now())),
    }));
  }

  /** Forgets all of them; processes and links end with the system. */
  close(): void {
    for (const { timer } of this.#active.values()) clearTimeout(timer);
    this.#active.clear();
  }

  async #inject({ fault: wanted, forMs, seed }: Extract<ChaosCommand, { kind: 'inject' }>): Promise<string> {
    const fault = await this.#named(wanted);
    if (fault.kind === 'kill') {
      const pid = this.#targets.kill(fault.target);
      this.#tell(fault);
      return `killed ${fault.target} (pid ${pid})`;
    }
    if (this.#active.size >= activeMax) throw new Error(`${activeMax} faults are active: heal some first`);
    if (fault.kind === 'pause') this.#targets.pause(fault.target);
    else {
      if (!this.#targets.links)
        throw new Error(
          'this system was started without links between its nodes: start it without --no-links',
        );
      lanesOf(fault, this.#targets.nodes); // Names that are wrong are refused before anything changes.
    }
    const number = ++this.#last;
    const timer = setTimeout(() => {
      // It heals whether or not somebody hears of it: the links start again with the rules of the moment.
      this.#heal(number).catch(() => undefined);
    }, forMs);
    this.#active.set(number, { fault, seed, until: performance.now() + forMs, timer });
    await this.#applyLinks();
    this.#tell(fault);
    return activeText({ number, text: faultText(fault), healsInMs: forMs });
  }

  async #heal(number: number | null): Promise<string> {
    const numbers = number === null ? [...this.#active.keys()] : [number];
    const healed: string[] = [];
    for (const one of numbers) {
      const active = this.#active.get(one);
      if (!active) throw new Error(`no fault has the number ${one}: \`list\` shows them`);
      this.#active.delete(one);
      clearTimeout(active.timer);
      if (active.fault.kind === 'pause') this.#resume(active.fault.target);
      healed.push(faultText(active.fault));
      this.#tell(active.fault, 'heal');
    }
    await this.#applyLinks();
    return healed.length === 0 ? 'no fault is active' : `healed: ${healed.join('; ')}`;
  }

  #resume(target: string): void {
    try {
      this.#targets.resume(target);
    } catch {
      // It was killed meanwhile, and starts again by itself.
    }
  }

  async #applyLinks(): Promise<void> {
    const faults = [...this.#active.values()].flatMap(({ fault, seed }) =>
      fault.kind === 'pause' ? [] : [{ fault, seed }],
    );
    await this.#targets.links?.apply(linkRules(faults, this.#targets.nodes));
  }

  #tell(fault: Fault, action: string = fault.kind): void {
    const target = 'target' in fault ? fault.target : fault.from.join(',');
    this.#targets.onChange({ action, target, detail: faultText(fault) });
  }

  /** The fault with the leader's name in it: it stays on that node when another one leads. */
  async #named(fault: Fault): Promise<Fault> {
    if ('target' in fault)
      return fault.target === 'leader' ? { ...fault, target: await this.#targets.leader() } : fault;
    const { from, to } = fault;
    if (!from.includes('leader') && !to?.includes('leader')) return fault;
    const leader = await this.#targets.leader();
    const named = (names: readonly string[]): string[] =>
      names.map((name) => (name === 'leader' ? leader : name));
    return { ...fault, from: named(from), to: to && named(to) } satisfies NetworkFault;
  }
}

export const activeText = ({ number, text, healsInMs }: ActiveFault): string =>
  `${number}: ${text}, heals in ${Math.ceil(healsInMs / 1_000)} s`;
