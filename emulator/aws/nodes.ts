// The nodes of a stage, each with the task that runs it.
import { nodeDetails, type NodeDetail } from '../commands/nodes.ts';
import type { Account } from './account.ts';
import { readTasks } from './services.ts';
import { cloudStatus } from './status.ts';

const askMs = 5_000;

/** `problems`: what could not be read, in words. */
export async function cloudNodes(
  account: Account,
): Promise<{ nodes: readonly NodeDetail[]; problems: readonly string[] }> {
  const status = await cloudStatus(account);
  const tasks = await readTasks(account);
  const nodes = await nodeDetails(status, {
    withinMs: askMs,
    runsAs: ({ id }) => {
      const task = tasks.get(id);
      return task ? { kind: 'task', ...task } : null;
    },
  });
  return { nodes, problems: status.problems };
}
