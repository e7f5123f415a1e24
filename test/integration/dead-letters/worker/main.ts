// The leader's two jobs for dead letters in a process of their own, which a test kills in the middle of them. Prints its
// memory after each round: what it held before it began, and the most since.
import { openDatabase } from '../../../../nodes/database/database.ts';
import { createCollector } from '../../../../nodes/dead-letters/collect.ts';
import { sendAgain } from '../../../../nodes/dead-letters/send-again.ts';
import { connectBroker } from '../../../../runtime/rabbitmq.ts';

export interface WorkerSettings {
  readonly term: number;
  readonly database: { readonly url: string; readonly password: string; readonly ca: string };
  readonly broker: {
    readonly url: string;
    readonly username: string;
    readonly password: string;
    readonly ca: string;
  };
}

const { term, database, broker } = JSON.parse(process.argv[2] ?? '') as WorkerSettings;
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
const collect = createCollector({ store, broker: client });
await store.openDeadLetters();
await client.depth('items.dead');
const before = process.memoryUsage.rss();
for (;;) {
  await collect(term);
  await sendAgain(term, store, client);
  const most = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ grownBy: most - before })}\n`);
}
