// How many nodes a data folder has, in which generation of the membership, and the generations in between when it is to
// have another number: one voter more or less each, as nodes/raft/membership.ts demands. change-membership.ts takes them.
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeWhole } from '../../runtime/write-file.ts';
import { nodes as nodeSettings } from '../../contracts/topology.ts';
import type { Layout } from './instance.ts';

export interface Generation {
  readonly generation: number;
  readonly nodes: number;
}
export interface MembershipPlan {
  /** What the nodes are to be started in. */
  readonly target: Generation;
  /** The generations to pass through first, in this order; none when nothing changes. */
  readonly steps: readonly Generation[];
}

const recordSchema = z.object({
  generation: z.int().min(1),
  nodes: z.int().min(1),
  /** Every voter has recorded this generation, or never ran. */
  settled: z.boolean(),
});

export const nodeName = (index: number): string => `node-${index + 1}`;

/** `wanted`: undefined keeps what the folder has. @throws Error when the folder's record cannot be read. */
export async function planMembership(layout: Layout, wanted: number | undefined): Promise<MembershipPlan> {
  const recorded = await readMembership(layout);
  if (!recorded) {
    const target = { generation: 1, nodes: wanted ?? nodeSettings.countDefault };
    await writeMembership(layout, target, { settled: true });
    return { target, steps: [] };
  }
  const steps: Generation[] = [{ generation: recorded.generation, nodes: recorded.nodes }];
  for (let last = recorded.nodes; last !== (wanted ?? recorded.nodes);) {
    last += last < (wanted ?? recorded.nodes) ? 1 : -1;
    steps.push({ generation: recorded.generation + steps.length, nodes: last });
  }
  const target = steps.at(-1) ?? recorded;
  return { target, steps: recorded.settled && steps.length === 1 ? [] : steps };
}

async function readMembership(layout: Layout): Promise<z.infer<typeof recordSchema> | undefined> {
  let text: string;
  try {
    text = await readFile(layout.membership, 'utf8');
  } catch (error) {
    // A fresh folder, and nothing else: what it says must not be forgotten because it could not be read this time.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(
      `${layout.membership} cannot be read: make it readable, or name another folder with --data`,
      {
        cause: error,
      },
    );
  }
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(
      `${layout.membership} does not say how many nodes this folder has: restore it, or name another folder with --data`,
      { cause },
    );
  }
}
export async function writeMembership(
  layout: Layout,
  { generation, nodes }: Generation,
  { settled }: { settled: boolean },
): Promise<void> {
  const text = JSON.stringify({ generation, nodes, settled });
  await writeWhole(layout.membership, text, { mode: 0o600, flush: true });
}
