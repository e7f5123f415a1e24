// Debian's etcd-server as the peer of our elections: real processes on free ports of this machine, with pre-vote and the
// same timeouts. Only elections are looked at; nothing is stored in it.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { request } from 'undici';
import { z } from 'zod';
import { Ports } from '../../emulator/instance/ports.ts';
import { Elections, type Elected } from '../../test/support/elections.ts';
import { eventually } from '../../test/support/running-system.ts';
import type { ClusterOptions, ElectingCluster } from './electing-cluster.ts';

/** Its version; undefined when it is not installed. */
export function findEtcd(): string | undefined {
  const { status, stdout } = spawnSync('etcd', ['--version'], { encoding: 'utf8', timeout: 5_000 });
  return status === 0 ? /etcd Version: (?<version>\S+)/.exec(stdout)?.groups?.['version'] : undefined;
}

interface Node {
  readonly id: string;
  readonly peerUrl: string;
  readonly clientUrl: string;
  /** As etcd numbers it, decimal; known once it answered. */
  memberId: string | undefined;
  child: ChildProcess | undefined;
}

const settleWithinMs = 30_000;
const answerWithinMs = 5_000;
const statusSchema = z.object({
  header: z.object({ member_id: z.string(), raft_term: z.string() }),
  leader: z.string().optional(),
});

export class EtcdCluster implements ElectingCluster {
  readonly elections = new Elections();
  readonly #options: ClusterOptions;
  readonly #folder: string;
  readonly #nodes: readonly Node[];

  private constructor(options: ClusterOptions, folder: string, nodes: readonly Node[]) {
    this.#options = options;
    this.#folder = folder;
    this.#nodes = nodes;
  }

  static async start(options: ClusterOptions): Promise<EtcdCluster> {
    const ports = new Ports({ isolated: true });
    const nodes: Node[] = [];
    for (let index = 1; index <= options.nodes; index++)
      nodes.push({
        id: `etcd-${index}`,
        peerUrl: `http://127.0.0.1:${await ports.take('peer', 0)}`,
        clientUrl: `http://127.0.0.1:${await ports.take('client', 0)}`,
        memberId: undefined,
        child: undefined,
      });
    const cluster = new EtcdCluster(options, await mkdtemp(join(tmpdir(), 'baton-etcd-')), nodes);
    try {
      for (const node of nodes) cluster.#spawn(node);
      await cluster.settled();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  get ids(): string[] {
    return this.#nodes.map(({ id }) => id);
  }

  async settled(): Promise<Elected> {
    const running = this.#nodes.filter(({ child }) => child !== undefined);
    await eventually(
      'etcd: one leader that all follow',
      () => Promise.all(running.map((node) => this.#status(node))),
      ([first, ...others]) =>
        first !== undefined &&
        first.leader !== undefined &&
        first.leader !== '0' &&
        others.every(
          ({ leader, header }) => leader === first.leader && header.raft_term === first.header.raft_term,
        ),
      settleWithinMs,
    );
    const { last } = this.elections;
    if (!last) throw new Error('etcd has a leader and its logs name none');
    return last;
  }

  signal(id: string, signal: NodeJS.Signals): void {
    this.#node(id).child?.kill(signal);
  }

  async restart(id: string): Promise<void> {
    const node = this.#node(id);
    await this.#end(node);
    this.#spawn(node);
    await eventually(`${id} answers`, () => this.#status(node), Boolean, settleWithinMs);
  }

  async transfer(from: string, to: string): Promise<number> {
    const { clientUrl } = this.#node(from);
    const { memberId } = this.#node(to);
    const at = performance.now();
    const { statusCode, body } = await request(`${clientUrl}/v3/maintenance/transfer-leadership`, {
      method: 'POST',
      body: JSON.stringify({ targetID: memberId }),
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const answer = await body.text();
    if (statusCode !== 200) throw new Error(`etcd does not hand over: ${answer}`);
    return at;
  }

  pid(id: string): number {
    return this.#node(id).child?.pid ?? 0;
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => this.#end(node)));
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #status(node: Node): Promise<z.infer<typeof statusSchema>> {
    const { body } = await request(`${node.clientUrl}/v3/maintenance/status`, {
      method: 'POST',
      body: '{}',
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const status = statusSchema.parse(await body.json());
    node.memberId = status.header.member_id;
    return status;
  }

  #spawn(node: Node): void {
    const { id, peerUrl, clientUrl } = node;
    const child = spawn(
      'etcd',
      [
        ['--name', id, '--data-dir', join(this.#folder, id), '--logger', 'zap', '--log-outputs', 'stderr'],
        ['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
        ['--initial-cluster', this.#nodes.map((one) => `${one.id}=${one.peerUrl}`).join(',')],
        ['--heartbeat-interval', String(this.#options.heartbeatMs)],
        ['--election-timeout', String(this.#options.electionTimeoutMs), '--pre-vote'],
      ].flat(),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    node.child = child;
    child.once('exit', () => {
      if (node.child === child) node.child = undefined;
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      const at = performance.now();
      const term = /became leader at term (?<term>\d+)/.exec(line)?.groups?.['term'];
      if (term !== undefined) this.elections.add({ id, term: Number(term), at });
    });
  }

  async #end({ child }: Node): Promise<void> {
    if (!child) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  #node(id: string): Node {
    const node = this.#nodes.find((one) => one.id === id);
    if (!node) throw new Error(`there is no node ${id}`);
    return node;
  }
}
