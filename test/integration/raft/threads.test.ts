// A cluster of real raft threads in one process: real sockets, real vote files, real timers.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Member } from '../../../contracts/environment.ts';
import type { Note, RoleView } from '../../../nodes/raft/types.ts';
import {
  startRaftThread,
  type RaftStatus,
  type RaftThread,
  type RaftThreadOptions,
} from '../../../nodes/raft-thread/thread.ts';
import { pause } from '../../../runtime/waiting.ts';
import { freePorts } from '../../support/ports.ts';
import { agreedLeader, membersAt, newBoot, startThread, threadOptions } from '../../support/raft-threads.ts';
import { until } from '../../support/until.ts';

// A busy machine stands still for some hundred milliseconds now and then: nobody may take that for a dead leader here.
const electionTimeoutMs = 1_000;
const heartbeatMs = 50;
const withinMs = 20_000; // Whatever has to come, on such a machine.
const keys = { current: { id: 1, key: Buffer.alloc(32, 9).toString('base64') } };

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'baton-raft-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

interface Node {
  readonly id: string;
  readonly thread: RaftThread;
  readonly roles: { role: RoleView; term: number; reason: string }[];
  readonly notes: Note[];
}

function optionsOf(
  id: string,
  members: readonly Member[],
  over: Partial<RaftThreadOptions> = {},
): RaftThreadOptions {
  return { ...threadOptions(id, { folder, members, keys, heartbeatMs, electionTimeoutMs }), ...over };
}
async function startNode(
  id: string,
  members: readonly Member[],
  over: Partial<RaftThreadOptions> = {},
): Promise<Node> {
  const thread = await startThread(optionsOf(id, members, over));
  const node: Node = { id, thread, roles: [], notes: [] };
  thread.onRole((change) => node.roles.push(change));
  thread.onNote((note) => node.notes.push(note));
  return node;
}
async function stopNode(node: Node): Promise<void> {
  await node.thread.close();
}
const agreed = (nodes: readonly Node[]): Node | undefined => {
  const leader = agreedLeader(nodes.map(({ thread }) => thread));
  return nodes.find(({ thread }) => thread === leader);
};

// One cluster for all of these: each test takes it as the one before left it, and leaves three nodes running.
describe('raft threads', () => {
  let members: Member[];
  let nodes: Node[];
  beforeAll(async () => {
    members = membersAt(await freePorts(3));
    nodes = await Promise.all(members.map(({ id }) => startNode(id, members)));
  });
  afterAll(() => Promise.all(nodes.map(stopNode)));

  const agreement = () => until(() => agreed(nodes), withinMs, 'agreement on a leader');
  function followerOf(leader: Node): Node {
    const follower = nodes.find((node) => node !== leader);
    if (!follower) throw new Error('no follower');
    return follower;
  }
  async function restart(node: Node): Promise<Node> {
    const again = await startNode(node.id, members, { knownToDatabase: true });
    nodes = nodes.map((one) => (one === node ? again : one));
    return again;
  }

  test('three elect one leader, all agree on it and on the term, and it stays', async () => {
    const leader = await agreement();
    const { term } = leader.thread.status();
    await pause(3 * electionTimeoutMs);
    expect(agreed(nodes)?.id).toBe(leader.id);
    expect(leader.thread.status().term).toBe(term);
    const { peers } = leader.thread.status();
    expect(Object.keys(peers)).toHaveLength(2);
    for (const { lastContactMs } of Object.values(peers))
      expect(lastContactMs).toBeLessThan(electionTimeoutMs);
  });

  test('leadership moves where it is told to', async () => {
    const leader = await agreement();
    const target = followerOf(leader);
    // One that is not over within an election timeout fails.
    expect(await leader.thread.transfer(target.id, 'test')).toEqual({ kind: 'done' });
    expect((await agreement()).id).toBe(target.id);
    expect(await leader.thread.transfer(null, 'no longer leads')).toMatchObject({ kind: 'failed' });
  });

  test('a restarted follower remembers its term, follows, and nobody’s leadership changes', async () => {
    const leader = await agreement();
    const { term } = leader.thread.status();
    const follower = followerOf(leader);
    await stopNode(follower);
    const again = await restart(follower);
    expect(again.thread.status().abstaining).toBe(false);
    await agreement();
    expect(leader.thread.status()).toMatchObject({ role: { kind: 'leader' }, term });
  });

  test('a lost vote file: the node follows, abstains, says so, and votes again later', async () => {
    const leader = await agreement();
    const follower = followerOf(leader);
    await stopNode(follower);
    fs.rmSync(join(folder, follower.id, 'vote'));
    const again = await restart(follower);
    expect(again.thread.status().abstaining).toBe(true);
    await until(() => again.notes.some(({ kind }) => kind === 'voting-again'), withinMs, 'voting again');
    await until(() => !again.thread.status().abstaining, withinMs, 'status');
    expect(leader.thread.status().role.kind).toBe('leader');
  });

  test('a term that the database has seen is adopted, so that the next leader claims a higher one', async () => {
    const leader = await agreement();
    const seen = leader.thread.status().term + 1_000;
    leader.thread.fenceRefused(seen);
    await until(() => (agreed(nodes)?.thread.status().term ?? 0) > seen, withinMs, `a term above ${seen}`);
    expect((await agreement()).thread.status().term).toBeGreaterThan(seen);
  });

  test('when the leader ends, the others know it from evidence and another leads in a higher term', async () => {
    const leader = await agreement();
    const others = nodes.filter((node) => node !== leader);
    const greetings = () =>
      others
        .map((node) => node.thread.status().counters['evidence.greeted'] ?? 0)
        .every((count) => count > 0);
    await until(greetings, withinMs, 'connections to the leader');
    await pause(electionTimeoutMs);
    const { term } = leader.thread.status();
    const deaths = () => others.map((node) => node.thread.status().counters['evidence.deaths'] ?? 0);
    const before = deaths();
    await stopNode(leader);
    const next = await until(() => agreed(others), withinMs, 'another leader');
    expect(next.thread.status().term).toBeGreaterThan(term);
    await until(() => deaths().every((count, index) => count > (before[index] ?? 0)), withinMs, 'evidence');
    await restart(leader);
    await agreement();
  });
});

describe('raft threads: one node', () => {
  test('elects itself with its vote on disk; a taken port and a foreign vote file say what is wrong', async () => {
    const members = membersAt(await freePorts(1));
    const dataDir = fs.mkdtempSync(join(folder, 'alone-'));
    const options = optionsOf('node-1', members, { dataDir });
    const first = await startNode('node-1', members, { dataDir });
    await until(() => first.thread.status().role.kind === 'leader', withinMs, 'election');
    expect(fs.readFileSync(join(dataDir, 'vote'), 'latin1')).toContain('"votedFor":"node-1"');

    const elsewhere = { ...options, bootId: newBoot(), dataDir: fs.mkdtempSync(join(folder, 'other-')) };
    await expect(startRaftThread(elsewhere)).rejects.toThrow(/binding UDP|listening on TCP/);
    await stopNode(first);
    const foreign = { ...options, bootId: newBoot(), clusterId: '00000000-0000-4000-8000-000000000000' };
    await expect(startRaftThread(foreign)).rejects.toThrow(/belongs to cluster/);
    const { bootId } = elsewhere;
    await expect(startRaftThread({ ...options, bootId })).rejects.toThrow(/was used before/);
    await stopNode(await startNode('node-1', members, { dataDir }));
  });

  test('a node that is no member, a boot id that is none and port 0 are refused before anything is opened', async () => {
    const options = optionsOf('node-1', membersAt([1]));
    await expect(startRaftThread({ ...options, nodeId: 'node-7' })).rejects.toThrow(/node-7 is not among/);
    await expect(startRaftThread({ ...options, bootId: 'x' })).rejects.toThrow(/32 hex/);
    await expect(startRaftThread({ ...options, udpPort: 0 })).rejects.toThrow(/fixed/);
  });
});

describe('raft threads: in processes of their own', () => {
  const children = new Set<ChildProcess>();
  afterEach(async () => {
    const ended = [...children]
      .filter((child) => child.exitCode === null && child.signalCode === null)
      .map((child) => once(child, 'exit'));
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
    children.clear();
  });
  const runner = new URL('../../support/raft-process.ts', import.meta.url).pathname;
  interface Remote {
    readonly child: ChildProcess;
    readonly id: string;
    role: string;
    term: number;
    status?: RaftStatus;
  }
  function spawnNode(id: string, members: readonly Member[]): Remote {
    const dataDir = fs.mkdtempSync(join(folder, 'process-'));
    const child = spawn(process.execPath, [runner, JSON.stringify(optionsOf(id, members, { dataDir }))], {
      stdio: ['pipe', 'pipe', 'pipe'],
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
  /** As the kernel has it: the first thread of a process is the main one, and the raft thread is Node's only worker. */
  function nicenessOf(pid: number): { raft: number; main: number } {
    const threads = fs.readdirSync(`/proc/${pid}/task`).map((id) => {
      const [name = '', numbers = ''] = fs.readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8').split(') ');
      return { id, name, nice: Number(numbers.split(' ')[16]) };
    });
    const niceOf = (found: (thread: { id: string; name: string }) => boolean): number =>
      threads.find(found)?.nice ?? NaN;
    return {
      main: niceOf(({ id }) => id === String(pid)),
      raft: niceOf(({ name }) => /\(raft/.test(name) || name.endsWith('(WorkerThread')),
    };
  }
  const leaderOf = (remotes: readonly Remote[], above = 0) =>
    remotes.find(({ role, term }) => role === 'leader' && term > above);

  async function elected(): Promise<{ remotes: Remote[]; leader: Remote }> {
    const members = membersAt(await freePorts(3));
    const remotes = members.map(({ id }) => spawnNode(id, members));
    const leader = await until(() => leaderOf(remotes), withinMs, 'election');
    await until(() => remotes.every(({ term }) => term === leader.term), withinMs, 'agreement');
    await pause(300);
    return { remotes, leader };
  }

  test('kill -9 of the leader: another leads, from evidence and not from a timeout; SIGSTOP of a follower changes nothing', async () => {
    const { remotes, leader } = await elected();
    const stopped = remotes.find((remote) => remote !== leader);
    // Frozen for three timeouts, it wakes to a timer long overdue and a socket full of heartbeats.
    stopped?.child.kill('SIGSTOP');
    await pause(3 * electionTimeoutMs);
    stopped?.child.kill('SIGCONT');
    await pause(2 * electionTimeoutMs);
    expect(remotes.map(({ term }) => term)).toEqual(remotes.map(() => leader.term));
    expect(leader.role).toBe('leader');

    leader.child.kill('SIGKILL');
    await until(() => leaderOf(remotes, leader.term), withinMs, 'another leader');
    const survivors = remotes.filter((remote) => remote !== leader);
    for (const { child } of survivors) child.stdin?.write('status\n');
    const deaths = () => survivors.map(({ status }) => status?.counters['evidence.deaths'] ?? 0);
    await until(() => deaths().some((count) => count > 0), withinMs, 'evidence');
  });

  test('a leader whose main thread hangs gives up within the stall limit, and another leads', async () => {
    const { remotes, leader } = await elected();
    const hungAt = performance.now();
    leader.child.stdin?.write('hang 30000\n');
    await until(() => leaderOf(remotes, leader.term), withinMs, 'another leader');
    // max(1 s, 5 timeouts) of silence, one check, and an election.
    const tookMs = performance.now() - hungAt;
    expect(tookMs).toBeGreaterThan(4.5 * electionTimeoutMs);
    expect(tookMs).toBeLessThan(15 * electionTimeoutMs);
  });

  test.runIf(process.platform === 'linux')(
    'the raft thread is scheduled before the main thread',
    async () => {
      const remote = spawnNode('node-1', membersAt(await freePorts(1)));
      await until(() => leaderOf([remote]), withinMs, 'election');
      const { raft, main } = nicenessOf(remote.child.pid ?? 0);
      expect(raft).toBeLessThan(main);
    },
  );

  test('when the raft thread dies, the process ends and says why', async () => {
    const members = membersAt(await freePorts(1));
    const remote = spawnNode('node-1', members);
    await until(() => leaderOf([remote]), withinMs, 'election');
    let said = '';
    remote.child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    const exit = once(remote.child, 'close');
    remote.child.stdin?.write('crash\n');
    expect((await exit)[0]).toBe(1);
    expect(said).toContain('the raft thread died');
  });
});
