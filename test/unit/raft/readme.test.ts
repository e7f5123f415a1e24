// The example of nodes/raft/README.md as it stands there, with a toy network around it: whoever has other edges than ours,
// or another collection of scenarios, drives the core like this.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import type { Config, Input, Message, Persisted, Recovered, RoleView } from '../../../nodes/raft/types.ts';
import type { View } from '../../../nodes/raft/state.ts';
import { config } from './node.ts';
import { Timeline } from '../../simulation/timeline.ts';

type Feed<T> = T extends unknown ? Omit<T, 'now'> : never;
interface Edges {
  readonly disk: { read(): Recovered; write(record: Persisted): boolean };
  readonly network: { send(to: string, message: Message): void };
  readonly timer: { set(at: number): void };
  readonly clock: () => number;
  readonly app: { roleIs(role: RoleView, term: number): void; note(note: object): void };
  readonly seed: number;
}
type RunNode = (config: Config, edges: Edges) => { feed(input: Feed<Input>): void; view(): View };

const folder = new URL('../../../nodes/raft/', import.meta.url);

async function example(): Promise<RunNode> {
  const readme = readFileSync(new URL('README.md', folder), 'utf8');
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  expect(code.split('\n').filter((line) => line.trim() !== '').length).toBeLessThan(26);
  const temporary = mkdtempSync(join(tmpdir(), 'baton-readme-'));
  try {
    const file = join(temporary, 'example.mjs');
    writeFileSync(file, code.replaceAll("'./", `'${folder.href}`));
    const { runNode } = (await import(pathToFileURL(file).href)) as { runNode: RunNode };
    return runNode;
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

test('README: three nodes as in its example elect a leader, and another one when that falls silent', async () => {
  const runNode = await example();
  const timeline = new Timeline<() => void>();
  const nodes = new Map<string, ReturnType<RunNode>>();
  const disks = new Map<string, Persisted>();
  const run = (ms: number): void => {
    const until = timeline.now + ms;
    for (let due = timeline.nextBefore(until); due; due = timeline.nextBefore(until)) due();
  };
  for (const [seed, id] of config.voters.entries()) {
    let due = Infinity;
    const edges: Edges = {
      disk: {
        read: () => ({ kind: 'first' }),
        write: (record) => {
          disks.set(id, record);
          return true;
        },
      },
      network: {
        send: (to, message) =>
          timeline.plan(timeline.now + 1, () =>
            nodes.get(to)?.feed({ kind: 'message', from: id, fromBoot: `boot-${id}`, message }),
          ),
      },
      timer: {
        set: (at) => {
          due = at;
          if (at < Infinity) timeline.plan(at, () => due === at && nodes.get(id)?.feed({ kind: 'timer' }));
        },
      },
      clock: () => timeline.now,
      app: { roleIs: () => undefined, note: () => undefined },
      seed,
    };
    nodes.set(id, runNode({ ...config, id, boot: `boot-${id}`, learners: [] }, edges));
  }
  run(500);
  const leaders = () => [...nodes].filter(([, node]) => node.view().role.kind === 'leader').map(([id]) => id);
  const [first = ''] = leaders();
  expect(leaders()).toHaveLength(1);
  expect(disks.get(first)).toEqual({ term: 1, votedFor: first });

  nodes.delete(first);
  run(500);
  const [second = ''] = leaders();
  expect(leaders()).toHaveLength(1);
  expect(nodes.get(second)?.view().term).toBe(2);
});
