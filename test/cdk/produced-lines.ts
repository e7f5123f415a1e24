// The log lines that alarms count, written by the code that writes them on AWS: nodes and functions run here against
// simulated edges, each logging as its own process.
import { announcementVersion, type Announcement } from '../../contracts/announcement.ts';
import { itemPageType } from '../../contracts/item-page.ts';
import { jobsOf } from '../../nodes/leader-jobs.ts';
import { Leadership } from '../../nodes/leadership.ts';
import type { Store } from '../../nodes/store.ts';
import { Deliveries } from '../../nodes/tracing/deliveries.ts';
import { announce } from '../../functions/intermediary/announce.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
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
import { daysLeftLines } from '../../functions/deploy/secret-keeper/days-left.ts';
import { fillSecrets } from '../../functions/deploy/secret-keeper/fill-secrets.ts';
import { createLogger } from '../../runtime/logger.ts';
import { Failure } from '../../runtime/failure.ts';
import { simulatedRaft } from '../integration/node/simulated-edges.ts';
import {
  item,
  itemPage,
  rabbitmqEvent,
  rabbitmqMessage,
  simulatedEdges,
  traceparent,
} from '../unit/functions/simulated-edges.ts';

const poison = rabbitmqMessage('no json');
const deadline = () => performance.now() + 800_000;

/** By whose log they stand in: `nodes`, or a function. */
export async function producedLines(namespace: string): Promise<ReadonlyMap<string, readonly string[]>> {
  return new Map([
    ['nodes', [...(await nodeLines()), ...(await sourceLines())]],
    ['deliver', await deliverLines()],
    [
      'mail',
      [
        ...(await mailLines('rejected')),
        ...(await mailLines('retry')),
        ...(await mailLines('sent')),
        ...(await refusedMailLines()),
      ],
    ],
    ['ftp-sync', await ftpSyncLines()],
    ['announce', await announceLines()],
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
  const tells = jobsOf({
    nodeId: 'node-1',
    store: {
      sweep: () => Promise.resolve({ swept: 0 }),
      writeOutage: () => undefined,
    } as Partial<Store> as Store,
    broker: {} as BrokerClient,
    deliveries: new Deliveries(),
    itemPartitions: 1,
    mailFrom: 'baton@example.org',
    pageUrl: 'https://example.org',
    emit: logger.emit,
  }).find(({ name }) => name === 'telling that it writes');
  await tells?.run(3);
  return lines;
}

/** A leader looks at a shop that is late, one that is not, and a partner of whom nobody said when. */
async function sourceLines(): Promise<string[]> {
  const lines: string[] = [];
  const logger = createLogger({ process: 'node-1', write: (line) => lines.push(line) });
  const age = { kind: 'shop' as const, lastGoodAt: null, intervalS: 3_600, incomplete: null, empty: null };
  const looked = watchSources({
    store: {
      sourceAges: async () => [
        { ...age, source: 'late-shop', ageS: 27_000 },
        { ...age, source: 'shop', ageS: 1_800 },
        { ...age, source: 'partner', kind: 'partner', ageS: 86_400, intervalS: null },
      ],
    },
    problems: new Problems(),
    metrics: { sourcesJudged: () => undefined },
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
  // A leader that does not understand us.
  const page = rabbitmqMessage(itemPage([item('1', 1)]), { type: itemPageType });
  await deliver(ports, rabbitmqEvent(queues.items.name, [page]), { deadline: deadline() });
  return lines;
}

/** The directory is away. */
async function announceLines(): Promise<string[]> {
  const { ports, lines } = simulatedEdges();
  const refused = () => Promise.reject(new Error('AccessDeniedException'));
  const announcement: Announcement = {
    version: announcementVersion,
    cluster: 'baton-dev',
    clusterId: crypto.randomUUID(),
    term: 3,
    sequence: 1,
    nodeId: 'node-1',
    internalUrl: 'https://node-1:7443',
    publicUrl: 'https://node-1.example.org',
    state: 'leading',
  };
  await announce(
    { directory: { read: refused, store: refused }, logger: ports.logger, now: Date.now },
    { Records: [{ messageId: '1', body: JSON.stringify(announcement) }] },
    { cluster: 'baton-dev', deadline: performance.now() },
  );
  return lines;
}

const stateOf = { sent: 'sent', retry: 'queued', rejected: 'failed', unknown: 'unknown' };
async function mailLines(outcome: SmtpOutcome['outcome']): Promise<string[]> {
  const edges = simulatedEdges();
  const claim: MailClaimAnswer = {
    kind: 'send',
    from: 'Baton <baton@example.org>',
    to: 'ann@example.org',
    bytes: Buffer.from('Subject: hello\r\n\r\nhello\r\n').toString('base64'),
    messageId: '<1@example.org>',
  };
  edges.answer = ({ method }) => (method === 'POST' ? claim : { state: stateOf[outcome] });
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

/** A leader that does not understand us. */
async function refusedMailLines(): Promise<string[]> {
  const edges = simulatedEdges();
  const due = rabbitmqMessage(
    { version: 1, mailId: crypto.randomUUID(), attempt: 1, traceparent },
    { type: 'mail' },
  );
  await sendMails(
    { ...edges.ports, send: () => Promise.reject(new Error('nothing is sent')) },
    rabbitmqEvent(queues.mail.name, [due]),
    { owner: 'mail/1', deadline: deadline() },
  );
  return edges.lines;
}

/** A tick, a file of a kind that is never taken, and a message that is none. */
async function ftpSyncLines(): Promise<string[]> {
  return [
    ...(await syncLines(() => Promise.resolve([]))),
    ...(await syncLines(() => Promise.reject(new Error('connect ECONNREFUSED')))),
    ...(await syncLines(() => Promise.resolve(['of a\nstrange name.csv']))),
  ];
}

/** `inAtTick`: what the FTP server says at the tick. */
async function syncLines(inAtTick: () => Promise<string[]>): Promise<string[]> {
  const edges = simulatedEdges();
  edges.answer = ({ path }) =>
    path === routes.files
      ? { kind: 'rejected', fileId: crypto.randomUUID(), reason: 'no such format' }
      : undefined;
  const look = { size: 1, modifiedAt: new Date(0) };
  const listings = [inAtTick, () => Promise.resolve(['shop_prices.csv'])]; // For the tick, and for the message.
  const ftp: Partial<FtpClient> = {
    list: () => listings.shift()?.() ?? Promise.resolve([]),
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
      vanishShareMax: 0.5,
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
