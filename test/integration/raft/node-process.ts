// A raft thread in a process of its own, for tests that kill or hang it: options as JSON in the first argument,
// role changes as JSON lines on standard output, `hang <ms>` and `crash` on standard input.
import { createInterface } from 'node:readline';
import { startRaftThread, type RaftThread, type RaftThreadOptions } from '../../../nodes/raft-thread.ts';

type RaftThreadHealth = Parameters<RaftThread['reportHealth']>[0];

const options = JSON.parse(process.argv[2] ?? '{}') as RaftThreadOptions;
const thread = await startRaftThread(options);
const tell = (role: string, term: number) => process.stdout.write(`${JSON.stringify({ role, term })}\n`);
thread.onRole(({ role, term }) => tell(role.kind, term));
thread.reportHealth({ databaseReachable: true, fit: true, reason: null });

createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, argument] = line.split(' ');
  if (command === 'hang') {
    const end = performance.now() + Number(argument);
    while (performance.now() < end);
  }
  // Health that is none: a broken promise inside the thread, as any bug in there would be.
  if (command === 'crash') thread.reportHealth(JSON.parse('null') as RaftThreadHealth);
});
