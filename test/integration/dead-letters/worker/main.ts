// The leader's two jobs for dead letters in a process of their own, which dies in the middle of them when it is told to.
// Prints its memory after each round: what it held before it began, and the most since.
import { setImmediate as turn } from 'node:timers/promises';
import { openDatabase } from '../../../../nodes/database/database.ts';
import { collectDeadLetters } from '../../../../nodes/dead-letters/collect.ts';
import { sendAgain } from '../../../../nodes/dead-letters/send-again.ts';
import { connectBroker } from '../../../../runtime/rabbitmq.ts';
import type { WorkerSettings } from './settings.ts';

const { term, database, broker, dies } = JSON.parse(process.argv[2] ?? '') as WorkerSettings;
const { store } = openDatabase({
  ...database,
  password: () => Promise.resolve(database.password),
  applicationName: 'worker',
});
const { username, password } = broker;
const client = connectBroker({
  ...broker,
  credentials: () => Promise.resolve({ username, password }),
  name: 'worker',
});
let letters = 0;
/** Notes what became of these letters, and dies at it when it is time. */
async function note(count: number, work: () => Promise<void>): Promise<void> {
  letters += count;
  if (dies === undefined || letters < dies.afterLetters) return await work();
  if (dies.moment !== 'before') {
    const working = work();
    await (dies.moment === 'during' ? turn() : working);
  }
  process.kill(process.pid, 'SIGKILL');
  await new Promise(() => undefined); // Nothing more happens, however soon the signal comes.
}
const mortal: typeof store = {
  ...store,
  keepDeadLetters: (of, some) => note(some.length, () => store.keepDeadLetters(of, some)),
  deadLettersSent: (of, ids) => note(ids.length, () => store.deadLettersSent(of, ids)),
};
await store.openDeadLetters();
await client.depth('items.dead');
const before = process.memoryUsage.rss();
for (;;) {
  await collectDeadLetters(term, mortal, client);
  await sendAgain(term, mortal, client);
  const most = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ grownBy: most - before })}\n`);
}
