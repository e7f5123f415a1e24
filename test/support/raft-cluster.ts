// Nodes that elect and do nothing else, each a process with real sockets and a real vote file, reached through fault
// links when asked for. For tests and benchmarks of elections; a whole node adds the database, see running-system.ts.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import type { Member } from '../../contracts/environment.ts';
import { FaultLinks } from '../../emulator/faults/fault-links.ts';
import { parseChaos, type NetworkFault } from '../../emulator/faults/grammar.ts';
import { linkRules } from '../../emulator/faults/link-rules.ts';
import { planLinks } from '../../emulator/faults/plan-links.ts';
import { Ports } from '../../emulator/instance/ports.ts';
import type { Note } from '../../nodes/raft/types.ts';
import type { RaftStatus, RaftThreadOptions } from '../../nodes/raft-thread/thread.ts';
import { Elections, type Elected } from './elections.ts';
import { membersAt, threadOptions } from './raft-threads.ts';
import { eventually } from './running-system.ts';

export interface RaftClusterOptions {
  readonly nodes: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  readonly links: boolean;
}
/** One line of a raft-process, with when it came. */
interface Line {
  readonly at: number;
  readonly role?: string;
  readonly term?: number;
  readonly leader?: string | null;
  readonly note?: Note;
  readonly problem?: string;
  readonly status?: RaftStatus;
  readonly url?: string;
}
interface Node {
  readonly id: string;
  child: ChildProcess | undefined;
  lines: Line[];
  starts: number;
}

const script = fileURLToPath(new URL('./raft-process.ts', import.meta.url));
const settleWithinMs = 30_000;

export class RaftCluster {
  readonly elections = new Elections();
  readonly #options: RaftClusterOptions;
  readonly #folder: string;
  readonly #clusterKey = randomBytes(32).toString('base64');
  readonly #members: readonly Member[];
  readonly #seenBy: (id: string) => readonly Member[];
  readonly #links: FaultLinks | undefined;
  readonly #nodes: ReadonlyMap<string, Node>;
  #faults: { fault: NetworkFault; seed: number }[] = [];

  private constructor(made: {
    options: RaftClusterOptions;
    folder: string;
    members: readonly Member[];
    seenBy: (id: string) => readonly Member[];
    links: FaultLinks | undefined;
  }) {
    this.#options = made.options;
    this.#folder = made.folder;
    this.#members = made.members;
    this.#seenBy = made.seenBy;
    this.#links = made.links;
    this.#nodes = new Map(made.members.map(({ id }) => [id, { id, child: undefined, lines: [], starts: 0 }]));
  }

  /** Resolves when one leads and all others follow it. */
  static async start(options: RaftClusterOptions): Promise<RaftCluster> {
    const ports = new Ports({ isolated: true });
    const udpPorts: number[] = [];
    while (udpPorts.length < options.nodes) udpPorts.push(await ports.take('udp', 0));
    const members = membersAt(udpPorts);
    const planned = options.links ? await planLinks(members, () => ports.take('link', 0)) : undefined;
    const cluster = new RaftCluster({
      options,
      folder: await mkdtemp(join(tmpdir(), 'baton-raft-')),
      members,
      seenBy: (id) => planned?.membersSeenBy(id) ?? members,
      links: planned && (await FaultLinks.open(planned.links)),
    });
    try {
      await Promise.all(members.map(({ id }) => cluster.restart(id)));
      await cluster.settled();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  get ids(): string[] {
    return [...this.#nodes.keys()];
  }

  /** One leads, and every node that runs follows it in its term and answers over HTTP. */
  async settled(): Promise<Elected> {
    const leader = await this.#agreed();
    const running = [...this.#nodes.values()].filter(({ child }) => child !== undefined);
    await Promise.all(
      running.map(async (node) => {
        const { body } = await request(`${this.#urlOf(node)}/`, {
          signal: AbortSignal.timeout(settleWithinMs),
        });
        await body.dump();
      }),
    );
    return leader;
  }

  async #agreed(): Promise<Elected> {
    return eventually(
      'one leader that all follow',
      async () => {
        const leader = this.elections.last;
        const running = [...this.#nodes.values()].filter(({ child }) => child !== undefined);
        const views = running.map((node) => ({ node, view: roleOf(node) }));
        const all = views.every(
          ({ node, view }) =>
            view?.term === leader?.term &&
            (node.id === leader?.id ? view?.role === 'leader' : view?.leader === leader?.id),
        );
        return all ? leader : undefined;
      },
      (leader): leader is Elected => leader !== undefined,
      settleWithinMs,
    ) as Promise<Elected>;
  }

  signal(id: string, signal: NodeJS.Signals): void {
    const child = this.#node(id).child;
    if (!child) throw new Error(`${id} does not run`);
    child.kill(signal);
  }

  /** Kills it if it runs, and starts it with what is on its disk. */
  async restart(id: string): Promise<void> {
    const node = this.#node(id);
    await this.#end(node);
    const { heartbeatMs, electionTimeoutMs } = this.#options;
    const options: RaftThreadOptions = {
      ...threadOptions(id, {
        folder: this.#folder,
        members: this.#seenBy(id),
        keys: { current: { id: 1, key: this.#clusterKey } },
        heartbeatMs,
        electionTimeoutMs,
      }),
      udpPort: this.udpPort(id),
      knownToDatabase: node.starts > 0,
    };
    node.starts += 1;
    node.lines = [];
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', script, JSON.stringify(options)],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    node.child = child;
    child.once('exit', () => {
      if (node.child === child) node.child = undefined;
    });
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = { at: performance.now(), ...(JSON.parse(text) as object) } as Line;
      node.lines.push(line);
      if (line.role === 'leader') this.elections.add({ id, term: line.term ?? 0, at: line.at });
    });
    await eventually(
      `${id} starts`,
      async () => this.#urlOf(node),
      (url) => url !== undefined,
      settleWithinMs,
    );
  }

  /** A fault of the grammar between nodes, added to those in force; `heal` takes all away. */
  async chaos(text: string): Promise<void> {
    const command = parseChaos(text);
    if (command.kind === 'heal') this.#faults = [];
    else if (command.kind === 'inject' && 'from' in command.fault)
      this.#faults.push({ fault: command.fault, seed: command.seed });
    else throw new Error(`not a fault of the network: ${text}`);
    if (!this.#links) throw new Error('this cluster was started without links');
    await this.#links.apply(linkRules(this.#faults, this.ids));
  }

  /** As an operator asks the leader. @returns when the request was sent. */
  async transfer(from: string, to: string): Promise<number> {
    const url = this.#urlOf(this.#node(from));
    const at = performance.now();
    const { statusCode, body } = await request(`${url}/?to=${to}`, { method: 'POST' });
    const answer = await body.text();
    if (statusCode !== 200) throw new Error(`handing over from ${from} to ${to}: ${answer}`);
    return at;
  }

  hang(id: string, ms: number): void {
    this.#node(id).child?.stdin?.write(`hang ${ms}\n`);
  }

  refuseFence(id: string): void {
    this.#node(id).child?.stdin?.write('refuse-fence\n');
  }

  /** What the node says of itself, asked now. */
  async status(id: string): Promise<RaftStatus> {
    const node = this.#node(id);
    const asked = node.lines.length;
    node.child?.stdin?.write('status\n');
    const answer = await eventually(
      `the status of ${id}`,
      async () => node.lines.slice(asked).find(({ status }) => status)?.status,
      (status) => status !== undefined,
      5_000,
    );
    if (!answer) throw new Error(`${id} gives no status`);
    return answer;
  }

  pid(id: string): number {
    const pid = this.#node(id).child?.pid;
    if (pid === undefined) throw new Error(`${id} does not run`);
    return pid;
  }
  udpPort(id: string): number {
    return Number(this.#members.find((member) => member.id === id)?.udp.split(':')[1]);
  }
  notes(id: string): Note[] {
    return this.#node(id).lines.flatMap(({ note }) => note ?? []);
  }
  problems(id: string): string[] {
    return this.#node(id).lines.flatMap(({ problem }) => problem ?? []);
  }
  /** The last role it told. */
  role(id: string): string | undefined {
    return roleOf(this.#node(id))?.role;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => this.#end(node)));
    await this.#links?.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #end(node: Node): Promise<void> {
    const { child } = node;
    if (!child) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  #node(id: string): Node {
    const node = this.#nodes.get(id);
    if (!node) throw new Error(`there is no node ${id}`);
    return node;
  }
  #urlOf(node: Node): string | undefined {
    return node.lines.find(({ url }) => url !== undefined)?.url;
  }
}

const roleOf = (node: Node): Line | undefined => node.lines.findLast(({ role }) => role !== undefined);
