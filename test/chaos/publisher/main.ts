// One publisher: publishes a crawl's messages as the scraper does, writes down each try before it and each outcome after it,
// and is made to be killed. Started again it goes on with what is not confirmed yet, so some messages come twice.
// Exit code 0: everything is confirmed. Ends by itself when whoever started it is gone.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { exchanges, routingKeys } from '../../../contracts/topology.ts';
import { describeError } from '../../../runtime/failure.ts';
import { connectBroker } from '../../../runtime/rabbitmq.ts';
import type { Credentials } from '../../../contracts/secrets.ts';
import { openHistory, readHistory } from '../history.ts';
import { messagesOf, type Crawl, type WorkloadMessage } from '../workload.ts';

export interface PublisherSettings {
  readonly crawl: Crawl;
  readonly perSecond: number;
  readonly historyFolder: string;
  /** Of this publisher alone. */
  readonly historyName: string;
  readonly brokerUrl: string;
  readonly credentialsFile: string;
  readonly caFile: string;
}

const inFlight = 50;
const retryAfterMs = 300;

const settings = JSON.parse(process.argv[2] ?? '') as PublisherSettings;
process.once('disconnect', () => process.exit(1));

const confirmed = new Set<string>();
const own = new RegExp(`^${settings.historyName}\\.ndjson$`);
for await (const record of readHistory(settings.historyFolder, { only: own }))
  if (record.kind === 'confirmed') confirmed.add(record.message);

const history = openHistory(settings.historyFolder, settings.historyName);
const broker = connectBroker({
  url: settings.brokerUrl,
  credentials: async () => JSON.parse(await readFile(settings.credentialsFile, 'utf8')) as Credentials,
  ca: await readFile(settings.caFile, 'utf8'),
  name: settings.historyName,
});

const began = performance.now();
let begun = 0;
const messages = messagesOf(settings.crawl);
async function worker(): Promise<void> {
  for (const message of messages) {
    if (confirmed.has(message.messageId)) continue;
    const dueAt = began + (begun++ / settings.perSecond) * 1_000;
    await sleep(Math.max(0, dueAt - performance.now()));
    // Without end: whoever started this process ends it, one way or the other.
    while (!(await publish(message))) await sleep(retryAfterMs);
  }
}

async function publish({ attempt, ...message }: WorkloadMessage): Promise<boolean> {
  history.write(attempt);
  try {
    await broker.publish({
      exchange: exchanges.main.name,
      routingKey: routingKeys.items(settings.crawl.source),
      ...message,
    });
  } catch (error) {
    history.write({ kind: 'in-doubt', message: message.messageId, reason: describeError(error) });
    return false;
  }
  history.write({ kind: 'confirmed', message: message.messageId });
  return true;
}

await Promise.all(Array.from({ length: inFlight }, worker));
await broker.close();
process.exit(0);
