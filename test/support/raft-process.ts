// A raft thread in a process of its own, for tests and benchmarks that kill, freeze or hang it: options as JSON in the
// first argument; roles, refusals and states as JSON lines on standard output. `hang <ms>`, `crash`, `refuse-fence` and
// `status` come on standard input. Over HTTP a GET tells the state and a POST asks for a hand-over, as an operator does;
// SIGTERM hands over before it ends.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { startRaftThread, type RaftThread, type RaftThreadOptions } from '../../nodes/raft-thread/thread.ts';

type RaftThreadHealth = Parameters<RaftThread['reportHealth']>[0];

const options = JSON.parse(process.argv[2] ?? '{}') as RaftThreadOptions;
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const thread = await startRaftThread(options);
thread.onRole(({ role, term, reason }) => {
  const leader = 'leader' in role ? role.leader : null;
  say({ role: role.kind, term, leader, reason });
});
thread.onNote((note) => say({ note }));
thread.onProblem(({ detail }) => say({ problem: detail }));
thread.reportHealth({ databaseReachable: true, fit: true, reason: null });

createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, argument] = line.split(' ');
  if (command === 'hang') {
    const end = performance.now() + Number(argument);
    while (performance.now() < end);
  }
  // As the database does that has seen this term already.
  if (command === 'refuse-fence') thread.fenceRefused(thread.status().term);
  if (command === 'status') say({ status: thread.status() });
  // Health that is none: a broken promise inside the thread, as any bug in there would be.
  if (command === 'crash') thread.reportHealth(JSON.parse('null') as RaftThreadHealth);
});

const server = createServer((request, response) => {
  if (request.method === 'GET') {
    response.end(JSON.stringify(thread.status()));
    return;
  }
  const target = new URL(request.url ?? '/', 'http://localhost').searchParams.get('to');
  void thread.transfer(target, 'asked over HTTP').then((result) => {
    response.writeHead(result.kind === 'done' ? 200 : 409, { 'content-type': 'application/json' });
    response.end(JSON.stringify(result));
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
say({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });

process.on('SIGTERM', () => {
  void thread
    .transfer(null, 'SIGTERM')
    .then(() => thread.close())
    .then(() => process.exit(0));
});
