// What ECS does with a node's task: it runs as process 1 of its container, is ended with SIGTERM, and for a moment there may be
// two of one node, the old one not gone yet and the new one on the same volume.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Member } from '../../../contracts/environment.ts';
import { nodes } from '../../../contracts/topology.ts';
import { takeIdentityLock } from '../../../nodes/identity/identity-lock.ts';
import { freePorts } from '../../support/ports.ts';
import { agreedLeader, membersAt, startThread, threadOptions } from '../../support/raft-threads.ts';
import { until } from '../../support/until.ts';

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'baton-tasks-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const namespace = ['--pid', '--fork', '--mount-proc', '--kill-child'];
/** Root, or a system that lets users make namespaces. */
const canBeFirst = spawnSync('unshare', [...namespace, 'true'], { timeout: 5_000 }).status === 0;

test.runIf(canBeFirst)(
  'tasks: SIGTERM reaches a node that is process 1, and it closes in order',
  async () => {
    const script = fileURLToPath(new URL('lifecycle-process.ts', import.meta.url));
    const outer = spawn('unshare', [...namespace, process.execPath, script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    createInterface({ input: outer.stdout }).on('line', (line) => lines.push(line));
    await until(() => lines.length > 0, 10_000, 'its first line');
    expect(lines).toEqual(['ready 1']);
    const [inner] = fs
      .readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .map(Number);
    const exited = once(outer, 'close') as Promise<[number | null]>; // Its last lines have come by then.
    process.kill(inner ?? 0, 'SIGTERM');
    expect((await exited)[0]).toBe(0);
    expect(lines).toEqual(['ready 1', 'closed node', 'closed database']);
  },
);

test('tasks: a second task of the same node does not start beside the first, disturbs nobody, and follows after it', async () => {
  const keys = { current: { id: 1, key: randomBytes(32).toString('base64') } };
  const members = membersAt(await freePorts(3));
  /** As nodes/main.ts does it: the identity first. */
  const start = async ({ id }: Member) => {
    const options = threadOptions(id, {
      folder,
      members,
      keys,
      heartbeatMs: nodes.heartbeatMs,
      electionTimeoutMs: 1_000, // A busy machine is no reason for an election here.
    });
    const giveBack = takeIdentityLock(options);
    const thread = await startThread(options);
    const end = async (): Promise<void> => {
      await thread.close();
      giveBack();
    };
    return { thread, end };
  };
  const tasks = await Promise.all(members.map(start));
  const settled = () =>
    until(() => agreedLeader(tasks.map(({ thread }) => thread)), 20_000, 'one leader that all follow');
  try {
    const first = await settled();
    const { term } = first.status();
    const index = tasks.findIndex(({ thread }) => thread !== first);
    const member = members[index] as Member;
    const changes: string[] = [];
    for (const { thread } of tasks) thread.onRole(({ reason }) => changes.push(reason));
    await expect(start(member)).rejects.toThrow(`another process already runs as ${member.id}`);
    await new Promise((resolve) => setTimeout(resolve, 5 * nodes.heartbeatMs));
    expect(changes).toEqual([]);
    await tasks[index]?.end();
    tasks[index] = await start(member);
    expect(await settled()).toBe(first);
    expect(tasks[index].thread.status().term).toBe(term);
  } finally {
    await Promise.all(tasks.map(({ end }) => end()));
  }
});
