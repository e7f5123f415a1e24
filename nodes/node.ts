// One node of the cluster, wired: raft thread, leadership, announcer, listeners and the leader's jobs. Tests call it
// with other adapters. Holds no logic of its own, and reads no environment.
import type { Server as SecureServer } from 'node:https';
import { isLoopback, loopbackHosts, type Member } from '../contracts/environment.ts';
import type { Tokens } from '../contracts/secrets.ts';
import type { BatonEvent } from '../contracts/event.ts';
import { describeError } from '../runtime/failure.ts';
import { createInternalClient, type TlsMaterial } from '../runtime/internal-http.ts';
import type { Logger } from '../runtime/logger.ts';
import { startAnnouncer, type SendAnnouncement } from './announcer.ts';
import { watchDatabase } from './health/database-watch.ts';
import { Deliveries } from './tracing/deliveries.ts';
import { jobsOf, startLeaderJobs } from './leader-jobs.ts';
import { Leadership } from './leadership.ts';
import type { BrokerClient } from '../runtime/rabbitmq.ts';
import { Metrics } from './health/metrics.ts';
import { Problems } from './health/problems.ts';
import type { RaftThread } from './raft-thread/thread.ts';
import { reportElections } from './raft-thread/report-elections.ts';
import { watchSources } from './health/source-watch.ts';
import { standBy } from './health/standby.ts';
import type { Store } from './store.ts';
import type { Launcher } from './web/faults.ts';
import { TraceExport, type SpanSender } from './tracing/trace-export.ts';
import { takeForwarded } from './web/forward.ts';
import { Guard } from './web/guard.ts';
import { createInternalServer } from './web/internal-server.ts';
import { Live } from './web/live.ts';
import type { Page } from './web/page.ts';
import { createPublicServer } from './web/public-server.ts';
import { watchWork } from './health/work-watch.ts';

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
  /** Number of partitions of the queue `items`. */
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

const batchesInFlightMax = 8;

/** A database that is away is asked again so often. */
const repeatClaimMs = 500;
/** Longer than an election takes with the default timeout, and shorter than any caller waits. */
const patienceMs = 500;

/** @throws Error when the public listener would speak plain HTTP beyond loopback, or a port is taken. */
export async function createNode(settings: NodeSettings, adapters: NodeAdapters): Promise<BatonNode> {
  const { nodeId, bootId, members, itemPartitions = 1 } = settings;
  const { raft, store, broker, logger } = adapters;
  const member = members.find(({ id }) => id === nodeId);
  if (!member)
    throw new Error(`${nodeId} is not among the members ${members.map(({ id }) => id).join(', ')}`);
  if (!isLoopback(settings.bind) && !settings.publicBehindProxy)
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
    repeatClaimMs,
    patienceMs,
  });

  const problems = new Problems();
  const metrics = new Metrics();
  reportElections({ nodeId, raft, logger, problems });
  const live = new Live(store, warn);
  const unlisten = logger.onEvent((event: BatonEvent) => {
    metrics.note(event);
    live.show(event);
  });
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
    metrics,
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
    metrics,
    logger,
    itemPartitions,
    page: adapters.page,
    launcher: adapters.launcher,
  });
  takeForwarded(internal, web, { host: new URL(member.publicUrl).host });
  const internalUrl = await internal.listen({ host: settings.bind, port: settings.internalPort });
  const publicUrl = await web.listen({ host: settings.bind, port: settings.publicPort });
  const { port } = new URL(publicUrl);
  for (const name of loopbackHosts) hosts.add(`${name}:${port}`);

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
          : 'the database does not answer this node, or takes no writes: nothing is written until it does',
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
  const work = watchWork({ broker, store, problems, metrics, itemPartitions });
  const sources = watchSources({
    store,
    problems,
    metrics,
    leads: () => leadership.state.kind === 'leading',
    emit: logger.emit,
    report: warn,
  });
  const jobs = startLeaderJobs({
    leadership,
    problems,
    emit: logger.emit,
    jobs: jobsOf({
      nodeId,
      store,
      broker,
      deliveries,
      itemPartitions,
      mailFrom: settings.mailFrom,
      pageUrl: settings.pageUrl ?? member.publicUrl,
      emit: logger.emit,
    }),
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
      // It votes until its raft thread is closed, and must not be elected meanwhile; nor lead on when nobody took over.
      raft.reportHealth({ databaseReachable: false, fit: false, reason: 'this node stops' });
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
