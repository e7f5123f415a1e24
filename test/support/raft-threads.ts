// Raft threads in the test's own process: real sockets, real vote files, real timers. For tests that must hold the threads
// themselves; raft-cluster.ts has them in processes that can be killed.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Member } from '../../contracts/environment.ts';
import { startRaftThread, type RaftThread, type RaftThreadOptions } from '../../nodes/raft-thread/thread.ts';

/** What a test decides; a vote file goes into a folder of its node's name below `folder`. */
export type ThreadSettings = Pick<RaftThreadOptions, 'keys' | 'heartbeatMs' | 'electionTimeoutMs'> & {
  readonly folder: string;
  readonly members: readonly Member[];
};

const clusterId = '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0';
export const newBoot = (): string => randomBytes(16).toString('hex');

/** Voters, node-1 first, a port each. */
export function membersAt(ports: readonly number[]): Member[] {
  return ports.map((port, index) => ({
    id: `node-${index + 1}`,
    udp: `127.0.0.1:${port}`,
    internalUrl: `https://127.0.0.1:${port}`,
    publicUrl: `http://127.0.0.1:${port}`,
    voter: true,
  }));
}

/** A new boot at each call. */
export function threadOptions(id: string, settings: ThreadSettings): RaftThreadOptions {
  const { folder, members, ...timing } = settings;
  const dataDir = join(folder, id);
  mkdirSync(dataDir, { recursive: true });
  return {
    clusterId,
    nodeId: id,
    bootId: newBoot(),
    generation: 1,
    members,
    bind: '127.0.0.1',
    udpPort: Number(members.find((member) => member.id === id)?.udp.split(':')[1]),
    dataDir,
    priority: 50,
    knownToDatabase: false,
    termAtLeast: 0,
    ...timing,
  };
}

/** In good health, so that it may lead. */
export async function startThread(options: RaftThreadOptions): Promise<RaftThread> {
  const thread = await startRaftThread(options);
  thread.reportHealth({ databaseReachable: true, fit: true, reason: null });
  return thread;
}

/** The one leader that all of these follow in its term. */
export function agreedLeader(threads: readonly RaftThread[]): RaftThread | undefined {
  const [leader, ...others] = threads.filter((thread) => thread.status().role.kind === 'leader');
  if (!leader || others.length > 0) return undefined;
  const { term } = leader.status();
  const all = threads.every((thread) => {
    const { role, term: its } = thread.status();
    return its === term && (thread === leader || (role.kind === 'follower' && role.leader !== null));
  });
  return all ? leader : undefined;
}
