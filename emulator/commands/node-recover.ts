// `baton node recover <node>`: a new vote file for a node that lost its own, when too few others are left to end its
// abstention. Shows what would be done, asks, and has the launcher do it while the node is stopped.
import { createInterface } from 'node:readline/promises';
import { tellLauncher } from '../ask-launcher.ts';
import { exitCodes, orFailed } from './exit-codes.ts';
import { findRunning } from './running.ts';

const recoverWithinMs = 120_000; // It stops and starts the node.

export interface RecoverOptions {
  data: string;
  as: string;
  yes: boolean;
}

export async function recoverNode(node: string, { data, as: by, yes }: RecoverOptions): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(data);
    if (!record) return exitCodes.nothingRunning;
    const recover = async (confirmed: boolean): Promise<void> => {
      const command = { path: 'recover', target: node, by, yes: confirmed } as const;
      process.stdout.write(`${await tellLauncher(record, command, recoverWithinMs)}\n`);
    };
    await recover(false);
    if (!yes && !(await agreed())) {
      process.stderr.write('Nothing was done. With --yes it is done without asking.\n');
      return exitCodes.usage;
    }
    await recover(true);
    return exitCodes.ok;
  });
}

async function agreed(): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question('Go on? (yes/no) ');
  terminal.close();
  return answer.trim() === 'yes';
}
