// One node of the cluster, wired: raft thread, leadership, announcer, listeners and the leader's jobs. Tests call it
// with other adapters. Holds no logic of its own, and reads no environment.
import type { Server as SecureServer } from 'node:https';
import type { Member } from '../contracts/environment.ts';
import type { BatonEvent } from '../contracts/event.ts';
import { describeError } from '../runtime/failure.ts';
import { createInternalClient, type TlsMaterial } from '../runtime/internal-http.ts';
import type { Logger } from '../runtime/logger.ts';
import { startAnnouncer, type SendAnnouncement } from './announcer.ts';
import { watchDatabase } from './database-watch.ts';
import { createCollector } from './dead-letters/collect.ts';
import { sendAgain } from './dead-letters/send-again.ts';
import { Deliveries } from './tracing/deliveries.ts';
import { startLeaderJobs } from './leader-jobs.ts';
import { Leadership } from './leadership.ts';
import { makeNotices, publishDueMails, queueDigests } from './mailer/mailer.ts';
import type { BrokerClient } from '../runtime/rabbitmq.ts';
import { Problems } from './problems.ts';
import type { RaftThread } from './raft-thread.ts';
import { createRetention } from './retention.ts';
import { watchSources } from './source-watch.ts';
import { standBy } from './standby.ts';
import type { Store } from './store.ts';
import type { Launcher } from './web/faults.ts';
import { TraceExport, type SpanSender } from './tracing/trace-export.ts';
import { takeForwarded } from './web/forward.ts';
import { Guard, type Tokens } from './web/guard.ts';
import { createInternalServer } from './web/internal-server.ts';
import { Live } from './web/live.ts';
import type { Page } from './web/page.ts';
import { createPublicServer } from './web/public-server.ts';
import { watchWork } from './work-watch.ts';

export interface NodeSettings {
  readonly nodeId: string;
  readonly bootId: string;
  readonly cluster: string;
  readonly clusterId: string;
  readonly generation: number;
  readonly members: readonly Member[];
  readonly bind: string;
  readonly publicPort: number;
  /** See BATON_PUBLIC_BEHIND_PROXY. */
  readonly publicBehindProxy?: boolean;
  /** `host:port`, besides the member's publicUrl and loopback. */
  readonly publicHosts?: readonly string[];
  readonly internalPort: number;
  readonly mailFrom: string;
  /** Where the links of mails lead; without it to this node. */
  readonly pageUrl?: string | undefined;
  /** Of the queue `items`. */
  readonly itemPartitions?: number;
}
export interface NodeAdapters {
  readonly raft: RaftThread;
  readonly store: Store;
  readonly broker: BrokerClient;
  readonly sendAnnouncement: SendAnnouncement;
  readonly tls: TlsMaterial;
  readonly tokens: () => Promise<Tokens>;
  /** Where traces are told to; undefined tells nobody. */
  readonly collector?: SpanSender | undefined;
  readonly page: Page | undefined;
  /** Where there is one: see nodes/web/faults.ts. */
  readonly launcher?: Launcher | undefined;
  readonly logger: Logger;
}
export interface BatonNode {
  readonly publicUrl: string;
  readonly internalUrl: string;
  readonly leadership: Leadership;
  /** A renewed certificate of the internal listener: for connections from now on. @throws Error when it is none. */
  useTls(tls: TlsMaterial): void;
  /** Hands leadership over, ends the streams, drains, closes the raft thread. Adapters are closed by their owner. */
  close(reason: string): Promise<void>;
}

const loopback = new Set(['127.0.0.1', '::1', 'localhost']);
const batchesInFlightMax = 8;

/** @throws Error when the public listener would speak plain HTTP beyond loopback, or a port is taken. */
export async function createNode(settings: NodeSettings, adapters: NodeAdapters): Promise<BatonNode> {
  const { nodeId, bootId, members, itemPartitions = 1 } = settings;
  const { raft, store, broker, logger } = adapters;
  const member = members.find(({ id }) => id === nodeId);
  if (!member)
    throw new Error(`${nodeId} is not among the members ${members.map(({ id }) => id).join(', ')}`);
  if (!loopback.has(settings.bind) && !settings.publicBehindProxy)
    throw new Error(
      `BATON_BIND is ${settings.bind}: the public listener has no TLS, so it binds to loopback only, unless BATON_PUBLIC_BEHIND_PROXY says that only a proxy with TLS, or a port published on loopback, leads to it`,
    );

  const warn = (error: unknown) => logger.warn(describeError(error));
  const leadership = new Leadership({
    nodeId,
    bootId,
    members,
    raft,
    claim: (claim) => store.claim(claim),
    emit: logger.emit,
    repeatClaimMs: 500,
    patienceMs: 500,
  });
  raft.onNote((note) => {
    if (note.kind === 'election-started')
      logger.emit({ type: 'election.started', node: nodeId, term: note.term, reason: note.reason });
    else if (note.kind === 'vote-refused')
      logger.emit({
        type: 'vote.refused',
        node: nodeId,
        candidate: note.candidate,
        term: note.term,
        rule: note.rule,
      });
    else logger.info(note.kind, { ...note });
  });
  raft.onProblem(({ code, detail }) => logger.emit({ type: 'problem', code, detail }));
  let role = raft.status().role.kind;
  raft.onRole((change) => {
    const leader =
      change.role.kind === 'leader' ? nodeId : 'leader' in change.role ? change.role.leader : null;
    logger.emit({
      type: 'role.changed',
      node: nodeId,
      from: role,
      to: change.role.kind,
      term: change.term,
      leader,
      reason: change.reason,
    });
    role = change.role.kind;
  });

  const problems = new Problems();
  const live = new Live(store, warn);
  const unlisten = logger.onEvent((event: BatonEvent) => live.show(event));
  const deliveries = new Deliveries();
  const traces =
    adapters.collector &&
    new TraceExport({ sender: adapters.collector, problems, report: (words) => logger.warn(words) });
  const internal = createInternalServer({
    deliveries,
    traces,
    tls: adapters.tls,
    leadership,
    raft,
    store,
    logger,
    batchesInFlightMax,
    show: (event) => live.show(event),
  });
  const hosts = new Set<string>([new URL(member.publicUrl).host, ...(settings.publicHosts ?? [])]);
  const guard = new Guard({ tokens: adapters.tokens, hosts: () => hosts });
  let others = createInternalClient(adapters.tls);
  const web = createPublicServer({
    nodeId,
    others: () => others,
    behindProxy: settings.publicBehindProxy ?? false,
    generation: settings.generation,
    members,
    leadership,
    raft,
    store,
    broker,
    live,
    guard,
    problems,
    logger,
    itemPartitions,
    page: adapters.page,
    launcher: adapters.launcher,
  });
  takeForwarded(internal, web, { host: new URL(member.publicUrl).host });
  const internalUrl = await internal.listen({ host: settings.bind, port: settings.internalPort });
  const publicUrl = await web.listen({ host: settings.bind, port: settings.publicPort });
  const { port } = new URL(publicUrl);
  for (const name of ['127.0.0.1', 'localhost', '[::1]']) hosts.add(`${name}:${port}`);

  const announcer = startAnnouncer({
    cluster: settings.cluster,
    clusterId: settings.clusterId,
    member,
    leadership,
    send: adapters.sendAnnouncement,
    report: warn,
  });
  const database = watchDatabase({
    ping: () => store.ping(),
    report: (health) => {
      raft.reportHealth(health);
      problems.say(
        'database',
        health.databaseReachable
          ? null
          : 'the database does not answer this node: nothing is written until it does',
      );
    },
  });
  let { tls } = adapters;
  const standby = standBy({
    leadership,
    store,
    url: `https://${new URL(member.internalUrl).hostname}:${new URL(internalUrl).port}`,
    tls: () => tls,
    problems,
    report: warn,
  });
  const work = watchWork({ broker, store, problems, itemPartitions });
  const pageUrl = settings.pageUrl ?? member.publicUrl;
  const sources = watchSources({
    store,
    problems,
    leads: () => leadership.state.kind === 'leading',
    emit: logger.emit,
    report: warn,
  });
  const domain = /@(?<domain>[^\s>]+)/.exec(settings.mailFrom)?.groups?.['domain'] ?? 'baton.invalid';
  const jobs = startLeaderJobs({
    leadership,
    emit: logger.emit,
    jobs: [
      { name: 'matching watches', everyMs: 200, run: (term) => makeNotices(term, store) },
      {
        name: 'gathering mails',
        everyMs: 500,
        run: (term) => queueDigests(term, store, { from: settings.mailFrom, domain, pageUrl }),
      },
      { name: 'publishing mails', everyMs: 500, run: (term) => publishDueMails(term, store, broker) },
      { name: 'noting deliveries', everyMs: 500, run: (term) => deliveries.store(term, nodeId, store) },
      { name: 'taking dead letters', everyMs: 1_000, run: createCollector({ store, broker }) },
      {
        name: 'sending dead letters again',
        everyMs: 500,
        run: (term) => sendAgain(term, store, broker, itemPartitions),
      },
      { name: 'retention', everyMs: 60_000, run: createRetention(store) },
    ],
  });

  return {
    publicUrl,
    internalUrl,
    leadership,
    useTls(renewed) {
      const { ca, cert, key } = renewed;
      (internal.server as SecureServer).setSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' });
      tls = renewed;
      const before = others;
      others = createInternalClient(renewed);
      before.close().catch(warn); // Once what is under way has its answer.
    },
    async close(reason) {
      await leadership.resign(reason);
      database.close();
      standby.close();
      work.close();
      sources.close();
      await Promise.all([jobs.close(), announcer.close()]);
      unlisten();
      await Promise.all([web.close(), internal.close(), others.close()]);
      await traces?.close();
      await raft.close();
    },
  };
}
