// The log lines that alarms count, written by the code that writes them on AWS: nodes and functions run here against
// simulated edges, each logging as its own process.
import { Leadership } from '../../nodes/leadership.ts';
import { routes, type CrawlLease, type MailClaimAnswer } from '../../contracts/node-api.ts';
import { queues, sqsQueues } from '../../contracts/topology.ts';
import { Problems } from '../../nodes/health/problems.ts';
import { watchSources } from '../../nodes/health/source-watch.ts';
import type { FtpClient } from '../../functions/ftp-sync/ftp-client.ts';
import { handleEvent } from '../../functions/ftp-sync/handle-event.ts';
import { deliver } from '../../functions/intermediary/deliver.ts';
import { sendMails } from '../../functions/mail/send-mails.ts';
import type { SmtpOutcome } from '../../functions/mail/smtp.ts';
import { crawlNext } from '../../functions/scraper/crawl.ts';
import { daysLeftLines } from '../../functions/secret-keeper/days-left.ts';
import { fillSecrets } from '../../functions/secret-keeper/fill-secrets.ts';
import { createLogger } from '../../runtime/logger.ts';
import { Failure } from '../../runtime/failure.ts';
import { simulatedRaft } from '../integration/node/simulated-edges.ts';
import {
  rabbitmqEvent,
  rabbitmqMessage,
  simulatedEdges,
  traceparent,
} from '../unit/functions/simulated-edges.ts';

const poison = rabbitmqMessage('no json');
const deadline = () => performance.now() + 60_000;

/** By whose log they stand in: `nodes`, or a function. */
export async function producedLines(namespace: string): Promise<ReadonlyMap<string, readonly string[]>> {
  return new Map([
    ['nodes', [...(await nodeLines()), ...(await sourceLines())]],
    ['deliver', await deliverLines()],
    ['mail', [...(await mailLines('rejected')), ...(await mailLines('retry'))]],
    ['ftp-sync', await ftpSyncLines()],
    ['scraper', await scraperLines()],
    ['secret-keeper', await secretKeeperLines(namespace)],
  ]);
}

/** A node is elected, claims the fence, and is refused by it. */
async function nodeLines(): Promise<string[]> {
  const lines: string[] = [];
  const logger = createLogger({ process: 'node-1', write: (line) => lines.push(line) });
  const { raft, become } = simulatedRaft();
  const leadership = new Leadership({
    nodeId: 'node-1',
    bootId: 'boot',
    members: [],
    raft,
    claim: () => Promise.resolve({ kind: 'claimed' }),
    emit: logger.emit,
    repeatClaimMs: 1_000,
    patienceMs: 20,
  });
  const leads = new Promise<void>((resolve) => {
    leadership.onChange(({ kind }) => kind === 'leading' && resolve());
  });
  become({ kind: 'leader' }, 3);
  await leads;
  await leadership
    .write('a write of term 3', () => Promise.reject(new Failure('STALE_TERM', 'the fence has seen term 4')))
    .catch(() => undefined);
  return lines;
}

/** A leader looks at a shop that is late, one that is not, and a partner of whom nobody said when. */
async function sourceLines(): Promise<string[]> {
  const lines: string[] = [];
  const logger = createLogger({ process: 'node-1', write: (line) => lines.push(line) });
  const age = { kind: 'shop' as const, lastGoodAt: null, intervalS: 3_600, incomplete: null };
  const looked = watchSources({
    store: {
      sourceAges: async () => [
        { ...age, source: 'late-shop', ageS: 27_000 },
        { ...age, source: 'shop', ageS: 1_800 },
        { ...age, source: 'partner', kind: 'partner', ageS: 86_400, intervalS: null },
      ],
    },
    problems: new Problems(),
    leads: () => true,
    emit: logger.emit,
    report: (error) => {
      throw error;
    },
  });
  await looked.look();
  looked.close();
  return lines;
}

async function deliverLines(): Promise<string[]> {
  const { ports, lines } = simulatedEdges();
  await deliver(ports, rabbitmqEvent(queues.items.name, [poison]), { deadline: deadline() });
  return lines;
}

async function mailLines(outcome: SmtpOutcome['outcome']): Promise<string[]> {
  const edges = simulatedEdges();
  const claim: MailClaimAnswer = {
    kind: 'send',
    from: 'Baton <baton@example.org>',
    to: 'ann@example.org',
    bytes: Buffer.from('Subject: hello\r\n\r\nhello\r\n').toString('base64'),
    messageId: '<1@example.org>',
  };
  edges.answer = ({ method }) => (method === 'POST' ? claim : undefined);
  const due = rabbitmqMessage(
    { version: 1, mailId: crypto.randomUUID(), attempt: 1, traceparent },
    { type: 'mail' },
  );
  await sendMails(
    { ...edges.ports, send: () => Promise.resolve({ outcome, detail: 'what the server said' }) },
    rabbitmqEvent(queues.mail.name, [poison, due]),
    { owner: 'mail/1', deadline: deadline() },
  );
  return edges.lines;
}

/** A tick, a file of a kind that is never taken, and a message that is none. */
async function ftpSyncLines(): Promise<string[]> {
  const edges = simulatedEdges();
  edges.answer = ({ path }) =>
    path === routes.files
      ? { kind: 'rejected', fileId: crypto.randomUUID(), reason: 'no such format' }
      : undefined;
  const look = { size: 1, modifiedAt: new Date(0) };
  const ftp: Partial<FtpClient> = {
    list: () => Promise.resolve([]),
    look: (path) => Promise.resolve(path.startsWith('in/') ? look : undefined),
    write: () => Promise.resolve(1),
    move: () => Promise.resolve(true),
  };
  const ports = {
    ...edges.ports,
    ftp: ftp as FtpClient,
    leader: {
      ...edges.ports.leader,
      download: () => Promise.reject(new Error('nothing is exported here')),
    },
  };
  const tick = {
    Records: [{ eventSource: 'aws:sqs', eventSourceARN: `arn:aws:sqs:r:1:${sqsQueues.tick.name}` }],
  };
  const deposited = rabbitmqMessage(
    { version: 1, traceparent, kind: 'deposited', name: 'shop_prices.csv' },
    { type: 'file-command' },
  );
  for (const event of [tick, rabbitmqEvent(queues.files.name, [poison, deposited])])
    await handleEvent(ports, event, { deadline: deadline(), owner: 'ftp-sync/1' });
  return edges.lines;
}

/** A shop whose only page is gone: the shortest crawl there is. */
async function scraperLines(): Promise<string[]> {
  const edges = simulatedEdges();
  const lease: CrawlLease = {
    crawlId: crypto.randomUUID(),
    source: {
      kind: 'shop',
      name: 'shop',
      startUrls: ['https://shop.example/'],
      everySeconds: 60,
      currency: null,
      requestEveryMs: 0,
      pagesMax: 1,
      enabled: true,
    },
    intake: 1,
    state: null,
    resumed: false,
  };
  edges.answer = ({ method }) => (method === 'POST' ? lease : undefined);
  await crawlNext(
    {
      ...edges.ports,
      broker: { depth: () => Promise.resolve(0), publish: () => Promise.resolve() },
      fetcher: {
        fetchPage: () => Promise.resolve({ kind: 'gone', reason: 'HTTP 404' }),
        close: () => Promise.resolve(),
      },
      deposit: () => Promise.resolve(),
    },
    { owner: 'scraper/1', deadline: deadline() },
  );
  return edges.lines;
}

async function secretKeeperLines(namespace: string): Promise<string[]> {
  const secrets = new Map<string, string>();
  const now = Date.now();
  const { daysLeft } = await fillSecrets({
    store: {
      read: (name) => Promise.resolve(secrets.get(name)),
      write: (name, text) => {
        secrets.set(name, text);
        return Promise.resolve();
      },
    },
    cluster: 'baton-dev',
    certificates: [{ name: 'node-1', hosts: ['node-1.baton-dev.internal'] }],
    fetchTrust: () => Promise.resolve({ database: 'public', broker: 'public' }),
    warn: () => undefined,
    now,
  });
  return daysLeftLines(daysLeft, { namespace, now }).map((line) => JSON.stringify(line));
}
