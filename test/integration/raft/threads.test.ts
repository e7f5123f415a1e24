// A cluster of real raft threads in one process: real sockets, real vote files, real timers.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Member } from '../../../contracts/environment.ts';
import type { Note, RoleView } from '../../../nodes/raft/types.ts';
import { startRaftThread, type RaftThread, type RaftThreadOptions } from '../../../nodes/raft-thread.ts';
import { freePorts, until } from './ports.ts';

const electionTimeoutMs = 200;
const heartbeatMs = 40;
const keys = { current: { id: 1, key: Buffer.alloc(32, 9).toString('base64') } };
const clusterId = '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0';

let folder: string;
const running = new Set<RaftThread>();
const children = new Set<ChildProcess>();
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'baton-raft-'));
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  await Promise.all([...running].map((thread) => thread.close()));
  running.clear();
  fs.rmSync(folder, { recursive: true });
});

interface Node {
  readonly id: string;
  readonly thread: RaftThread;
  readonly roles: { role: RoleView; term: number; reason: string }[];
  readonly notes: Note[];
}

function membersAt(ports: readonly number[]): Member[] {
  return ports.map((port, index) => ({
    id: `node-${index + 1}`,
    udp: `127.0.0.1:${port}`,
    internalUrl: `https://127.0.0.1:${port}`,
    publicUrl: `http://127.0.0.1:${port}`,
    voter: true,
  }));
}
function optionsOf(
  id: string,
  members: readonly Member[],
  over: Partial<RaftThreadOptions> = {},
): RaftThreadOptions {
  const dataDir = join(folder, id);
  fs.mkdirSync(dataDir, { recursive: true });
  const member = members.find((one) => one.id === id);
  return {
    clusterId,
    nodeId: id,
    bootId: randomBytes(16).toString('hex'),
    generation: 1,
    members,
    bind: '127.0.0.1',
    udpPort: Number(member?.udp.split(':')[1]),
    dataDir,
    keys,
    heartbeatMs,
    electionTimeoutMs,
    priority: 50,
    knownToDatabase: false,
    ...over,
  };
}
async function startNode(
  id: string,
  members: readonly Member[],
  over: Partial<RaftThreadOptions> = {},
): Promise<Node> {
  const thread = await startRaftThread(optionsOf(id, members, over));
  running.add(thread);
  const node: Node = { id, thread, roles: [], notes: [] };
  thread.onRole((change) => node.roles.push(change));
  thread.onNote((note) => node.notes.push(note));
  thread.reportHealth({ databaseReachable: true, fit: true, reason: null });
  return node;
}
async function startCluster(count: number): Promise<{ nodes: Node[]; members: Member[] }> {
  const members = membersAt(await freePorts(count));
  return { nodes: await Promise.all(members.map(({ id }) => startNode(id, members))), members };
}
async function stopNode(node: Node): Promise<void> {
  running.delete(node.thread);
  await node.thread.close();
}
/** The one leader that all of these agree on. */
function agreed(nodes: readonly Node[]): Node | undefined {
  const leaders = nodes.filter(({ thread }) => thread.status().role.kind === 'leader');
  const [leader] = leaders;
  if (!leader || leaders.length !== 1) return undefined;
  const { term } = leader.thread.status();
  const all = nodes.every(({ thread }) => {
    const status = thread.status();
    return (
      status.term === term &&
      (status.role.kind === 'leader' || ('leader' in status.role && status.role.leader === leader.id))
    );
  });
  return all ? leader : undefined;
}

describe('raft threads', () => {
  test('three elect one leader, all agree on it and on the term, and it stays', async () => {
    const started = performance.now();
    const { nodes } = await startCluster(3);
    const leader = await until(() => agreed(nodes), 3_000, 'election');
    // Threads start one after another on few cores; the election itself takes one to two timeouts.
    expect(performance.now() - started).toBeLessThan(2_500);
    const { term } = leader.thread.status();
    await new Promise((resolve) => setTimeout(resolve, 3 * electionTimeoutMs));
    expect(agreed(nodes)?.id).toBe(leader.id);
    expect(leader.thread.status().term).toBe(term);
    const { peers } = leader.thread.status();
    expect(Object.keys(peers)).toHaveLength(2);
    for (const { lastContactMs } of Object.values(peers))
      expect(lastContactMs).toBeLessThan(electionTimeoutMs);
  });

  test('when the leader ends, the others know it from evidence and another leads in a higher term', async () => {
    const { nodes } = await startCluster(3);
    const leader = await until(() => agreed(nodes), 3_000, 'election');
    // The order of succession travels with heartbeats, and connections to the leader take a moment.
    await until(
      () =>
        nodes.every(
          (node) => node === leader || (node.thread.status().counters['evidence.greeted'] ?? 0) > 0,
        ),
      2_000,
      'connections to the leader',
    );
    const { term } = leader.thread.status();
    const others = nodes.filter((node) => node !== leader);
    await stopNode(leader);
    const next = await until(() => agreed(others), 3_000, 'another leader');
    expect(next.thread.status().term).toBeGreaterThan(term);
    expect(others.some((node) => (node.thread.status().counters['evidence.deaths'] ?? 0) > 0)).toBe(true);
  });

  test('a restarted node remembers its term, follows the leader, and nobody’s leadership changes', async () => {
    const { nodes, members } = await startCluster(3);
    const leader = await until(() => agreed(nodes), 3_000, 'election');
    const { term } = leader.thread.status();
    const follower = nodes.find((node) => node !== leader);
    if (!follower) throw new Error('no follower');
    await stopNode(follower);
    const again = await startNode(follower.id, members, { knownToDatabase: true });
    const after = nodes.map((node) => (node === follower ? again : node));
    await until(() => agreed(after), 3_000, 'agreement');
    expect(leader.thread.status()).toMatchObject({ role: { kind: 'leader' }, term });
  });

  test('leadership moves where it is told to, within two timeouts', async () => {
    const { nodes } = await startCluster(3);
    const leader = await until(() => agreed(nodes), 3_000, 'election');
    await new Promise((resolve) => setTimeout(resolve, 2 * heartbeatMs));
    const target = nodes.find((node) => node !== leader);
    if (!target) throw new Error('no target');
    const result = await leader.thread.transfer(target.id, 'test');
    expect(result).toEqual({ kind: 'done' });
    expect((await until(() => agreed(nodes), 1_000, 'agreement')).id).toBe(target.id);
    expect(await leader.thread.transfer(null, 'no longer leads')).toMatchObject({ kind: 'failed' });
  });

  test('a term that the database has seen is adopted, so that the next leader claims a higher one', async () => {
    const { nodes } = await startCluster(3);
    const leader = await until(() => agreed(nodes), 3_000, 'election');
    leader.thread.fenceRefused(1_000);
    const next = await until(
      () => {
        const agreement = agreed(nodes);
        return agreement && agreement.thread.status().term > 1_000 ? agreement : undefined;
      },
      4_000,
      'a term above 1000',
    );
    expect(next.thread.status().term).toBeGreaterThan(1_000);
  });

  test('a single node elects itself, and its vote is on disk', async () => {
    const { nodes } = await startCluster(1);
    const [node] = nodes;
    if (!node) throw new Error('no node');
    await until(() => node.thread.status().role.kind === 'leader', 2_000, 'election');
    const bytes = fs.readFileSync(join(folder, 'node-1', 'vote'));
    expect(bytes.toString('latin1')).toContain('"votedFor":"node-1"');
  });

  test('a lost vote file: the node follows, abstains and says so', async () => {
    const { nodes, members } = await startCluster(3);
    const leader = await until(() => agreed(nodes), 3_000, 'election');
    const follower = nodes.find((node) => node !== leader);
    if (!follower) throw new Error('no follower');
    await stopNode(follower);
    fs.rmSync(join(folder, follower.id, 'vote'));
    const again = await startNode(follower.id, members, { knownToDatabase: true });
    await until(() => again.notes.some(({ kind }) => kind === 'abstaining'), 1_000, 'abstaining');
    await until(() => again.notes.some(({ kind }) => kind === 'voting-again'), 6_000, 'voting again');
    await until(() => !again.thread.status().abstaining, 1_000, 'status');
    expect(leader.thread.status().role.kind).toBe('leader');
  });
});

describe('raft threads: refused starts', () => {
  test('a second process with the same data folder, a foreign vote file and a taken port say what is wrong', async () => {
    const members = membersAt(await freePorts(1));
    const first = await startNode('node-1', members);
    await expect(startRaftThread(optionsOf('node-1', members))).rejects.toThrow(/already runs as node-1/);
    await expect(
      startRaftThread(optionsOf('node-1', members, { dataDir: fs.mkdtempSync(join(folder, 'other-')) })),
    ).rejects.toThrow(/binding UDP|listening on TCP/);
    await stopNode(first);
    await expect(
      startRaftThread(optionsOf('node-1', members, { clusterId: '00000000-0000-4000-8000-000000000000' })),
    ).rejects.toThrow(/belongs to cluster/);
    // What was refused has let go of the identity.
    await startNode('node-1', members);
  });
});

describe('raft threads: in processes of their own', () => {
  const runner = new URL('./node-process.ts', import.meta.url).pathname;
  interface Remote {
    readonly child: ChildProcess;
    readonly id: string;
    role: string;
    term: number;
  }
  function spawnNode(id: string, members: readonly Member[], commands = ''): Remote {
    const child = spawn(process.execPath, [runner, JSON.stringify(optionsOf(id, members)), commands], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.add(child);
    const remote: Remote = { child, id, role: 'starting', term: 0 };
    let held = '';
    child.stdout?.on('data', (bytes: Buffer) => {
      held += bytes.toString();
      const lines = held.split('\n');
      held = lines.pop() ?? '';
      for (const line of lines) Object.assign(remote, JSON.parse(line));
    });
    return remote;
  }
  const leaderOf = (remotes: readonly Remote[], above = 0) =>
    remotes.find(({ role, term }) => role === 'leader' && term > above);

  test('kill -9 of the leader: another leads within one second', async () => {
    const members = membersAt(await freePorts(3));
    const remotes = members.map(({ id }) => spawnNode(id, members));
    const leader = await until(() => leaderOf(remotes), 8_000, 'election');
    await until(() => remotes.every(({ term }) => term === leader.term), 2_000, 'agreement');
    await new Promise((resolve) => setTimeout(resolve, 300));
    const killedAt = performance.now();
    leader.child.kill('SIGKILL');
    await until(() => leaderOf(remotes, leader.term), 2_000, 'another leader');
    expect(performance.now() - killedAt).toBeLessThan(1_000);
  });

  test('a leader whose main thread hangs gives up within the stall limit, and another leads', async () => {
    const members = membersAt(await freePorts(3));
    const remotes = members.map(({ id }) => spawnNode(id, members));
    const leader = await until(() => leaderOf(remotes), 8_000, 'election');
    await until(() => remotes.every(({ term }) => term === leader.term), 2_000, 'agreement');
    await new Promise((resolve) => setTimeout(resolve, 300));
    const hungAt = performance.now();
    leader.child.stdin?.write('hang 4000\n');
    await until(() => leaderOf(remotes, leader.term), 4_000, 'another leader');
    // max(1 s, 5 timeouts) of silence, one check, and an election.
    const tookMs = performance.now() - hungAt;
    expect(tookMs).toBeGreaterThan(900);
    expect(tookMs).toBeLessThan(1_000 + 4 * electionTimeoutMs);
  });

  test('when the raft thread dies, the process ends and says why', async () => {
    const members = membersAt(await freePorts(1));
    const remote = spawnNode('node-1', members);
    await until(() => leaderOf([remote]), 5_000, 'election');
    const exit = new Promise<number | null>((resolve) => remote.child.once('exit', resolve));
    remote.child.stdin?.write('crash\n');
    expect(await exit).not.toBe(0);
  });
});
