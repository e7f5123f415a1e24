// One node as a process: environment in, a node that runs until a signal. Exit codes: 0 ended in order, 1 something
// broke, 2 the environment is wrong (every variable named).
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SQSClient } from '@aws-sdk/client-sqs';
import manifest from '../package.json' with { type: 'json' };
import { EnvironmentError, readEnvironment } from '../runtime/config.ts';
import { describeError } from '../runtime/failure.ts';
import { createLifecycle } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { connectBroker } from '../runtime/rabbitmq.ts';
import { clusterKeysSchema, credentialsSchema, tokensSchema } from '../contracts/secrets.ts';
import { createSecrets } from '../runtime/secrets.ts';
import { sendAnnouncementsTo } from './announcer.ts';
import { connectionOf } from './database/connection-of.ts';
import { openDatabase } from './database/database.ts';
import { claimOnceAgreed, joinCluster } from './identity/join-cluster.ts';
import { createNode } from './node.ts';
import { openNamedCollector } from './tracing/open-collector.ts';
import { renewal, watchRenewals } from './renewals.ts';
import { startRaftThread } from './raft-thread/thread.ts';
import { takeIdentityLock } from './identity/identity-lock.ts';
import { makeFirstVoteFile, readIdentity, setVoteFileAside } from './identity/vote-file.ts';
import { bundlePage } from './web/page.ts';

const stopWithinMs = 9_000; // Drain 5 s, hand over 1 s, close: inside the 10 s that a container gets by default.
const joinEveryMs = 200;

async function main(): Promise<void> {
  const environment = readEnvironment('node', process.env);
  const nodeId = environment.BATON_NODE_ID;
  const members = environment.BATON_MEMBERS;
  const logger = createLogger({ process: nodeId });
  const lifecycle = createLifecycle({ logger, graceMs: stopWithinMs });
  const stopping = new AbortController();
  lifecycle.opened({ name: 'start', close: () => stopping.abort() });
  const secrets = createSecrets();
  const readTls = async () => ({
    ca: await secrets.text(environment.BATON_TLS_CA_URI),
    cert: await secrets.text(environment.BATON_TLS_CERT_URI),
    key: await secrets.text(environment.BATON_TLS_KEY_URI),
  });
  const readKeys = () => secrets.json(environment.BATON_CLUSTER_KEYS_URI, clusterKeysSchema);
  const tls = await readTls();
  const keys = await readKeys();
  mkdirSync(environment.BATON_DATA, { recursive: true, mode: 0o700 });
  // Before the database records this start: the rule that admits it rests on this node's former process having ended.
  const unlock = takeIdentityLock({ dataDir: environment.BATON_DATA, nodeId });
  lifecycle.opened({ name: 'identity', close: unlock });

  const database = openDatabase(await connectionOf(environment, secrets, nodeId));
  lifecycle.opened({ name: 'database', close: () => database.close() });
  const joined = await joinCluster({
    database,
    cluster: environment.BATON_CLUSTER,
    nodeId,
    generation: environment.BATON_GENERATION,
    members,
    remembered: readIdentity(environment.BATON_DATA),
    makeFirstVoteFile: (of) => makeFirstVoteFile({ ...of, dataDir: environment.BATON_DATA }),
    setVoteFileAside: () => setVoteFileAside(environment.BATON_DATA),
    report: (detail) => logger.emit({ type: 'problem', code: 'DATABASE_UNAVAILABLE', detail }),
    tryEveryMs: joinEveryMs,
    signal: stopping.signal,
  });
  joined.agreed.catch((error: unknown) => {
    if (stopping.signal.aborted) return;
    logger.error(describeError(error));
    void lifecycle.stop('the database does not admit this node', 1);
  });

  const broker = connectBroker({
    url: environment.BATON_BROKER_URL,
    credentials: () => secrets.json(environment.BATON_BROKER_CREDENTIALS_URI, credentialsSchema),
    ca: await secrets.text(environment.BATON_BROKER_CA_URI ?? environment.BATON_TLS_CA_URI),
    name: nodeId,
  });
  lifecycle.opened({ name: 'broker', close: () => broker.close() });
  const sqs = new SQSClient({ region: environment.AWS_REGION });
  lifecycle.opened({ name: 'announcements', close: () => sqs.destroy() });

  const collector = await openNamedCollector(environment, secrets);
  const bootId = randomBytes(16).toString('hex');
  const page = await bundlePage(fileURLToPath(new URL('dashboard', import.meta.url)));
  const raft = await startRaftThread({
    clusterId: joined.clusterId,
    nodeId,
    bootId,
    generation: environment.BATON_GENERATION,
    members,
    bind: environment.BATON_BIND,
    udpPort: environment.BATON_UDP_PORT,
    dataDir: environment.BATON_DATA,
    keys,
    heartbeatMs: environment.BATON_HEARTBEAT_MS,
    electionTimeoutMs: environment.BATON_ELECTION_TIMEOUT_MS,
    priority: environment.BATON_PRIORITY,
    knownToDatabase: joined.recordedTerm !== null,
    recordedTerm: joined.recordedTerm ?? 0,
    termAtLeast: joined.termAtLeast,
  });
  raft.onDeath((error) => {
    logger.error(describeError(error));
    void lifecycle.stop('the raft thread died', 1);
  });
  const { BATON_FAULTS_URL: launcherUrl, BATON_FAULTS_TOKEN_URI: launcherTokenUri } = environment;
  const node = await createNode(
    {
      nodeId,
      bootId,
      cluster: environment.BATON_CLUSTER,
      clusterId: joined.clusterId,
      generation: environment.BATON_GENERATION,
      members,
      bind: environment.BATON_BIND,
      publicPort: environment.BATON_PUBLIC_PORT,
      publicBehindProxy: environment.BATON_PUBLIC_BEHIND_PROXY,
      publicHosts: environment.BATON_PUBLIC_HOSTS,
      internalPort: environment.BATON_INTERNAL_PORT,
      mailFrom: environment.BATON_MAIL_FROM,
      pageUrl: environment.BATON_PAGE_URL,
      itemPartitions: environment.BATON_ITEM_PARTITIONS,
    },
    {
      raft,
      store: {
        ...database.store,
        claim: claimOnceAgreed(joined.agreed, (wanted) => database.store.claim(wanted)),
      },
      broker,
      sendAnnouncement: sendAnnouncementsTo(sqs, environment.BATON_ANNOUNCE_QUEUE_URL),
      tls,
      tokens: () => secrets.json(environment.BATON_TOKENS_URI, tokensSchema),
      collector,
      page,
      launcher:
        launcherUrl !== undefined && launcherTokenUri !== undefined
          ? { url: launcherUrl, token: () => secrets.text(launcherTokenUri) }
          : undefined,
      logger,
    },
  );
  lifecycle.opened({ name: 'node', close: () => node.close('this node stops') });
  const renewals = watchRenewals(
    [
      renewal('the certificate of the internal listener', tls, readTls, (renewed) => node.useTls(renewed)),
      renewal('the cluster key', keys, readKeys, (rolled) => raft.useKeys(rolled)),
    ],
    { report: (detail) => logger.emit({ type: 'problem', code: 'INTERNAL', detail }) },
  );
  lifecycle.opened({ name: 'renewals', close: () => renewals.close() });
  logger.emit({ type: 'process.started', pid: process.pid, release: manifest.version });
  process.stdout.write(`${JSON.stringify({ ready: true, address: node.publicUrl })}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof EnvironmentError ? error.message : describeError(error)}\n`);
  process.exit(error instanceof EnvironmentError ? 2 : 1);
}
