// The node's database: everything of Store over one pool of connections, and what a node needs before it may vote.
// Opening connects to nothing, so a node starts while the database is away.
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import type { ClusterDatabase } from '../join-cluster.ts';
import type { Store } from '../store.ts';
import { admit, readRecorded, type Recorded } from './admission.ts';
import { takeCrawl, takeLease, updateCrawl } from './crawls.ts';
import { deadLetterQueries } from './dead-letters.ts';
import { claimFence } from './fence.ts';
import {
  applyUpload,
  clearStaged,
  fileIntake,
  fileOutcome,
  openFile,
  rejectFile,
  stageRows,
} from './files.ts';
import {
  deleteWatch,
  findWatch,
  listSources,
  listWatches,
  putSource,
  putWatch,
  recentCrawls,
  recentFiles,
  recentMails,
  storedCounts,
} from './lists.ts';
import {
  claimMail,
  dueDigests,
  deferredMails,
  dueMails,
  eraseAddress,
  mailPublished,
  mailResult,
  makeNotices,
  queueDigest,
  readDigest,
} from './mails.ts';
import { connectionConfig, failureOf, openPool, type ConnectionOptions, type Queries } from './pool.ts';
import { exportItems, feedBounds, findItem, listItems, readFeed } from './read-items.ts';
import { sourceAges } from './source-ages.ts';
import { traceQueries } from './traces.ts';
import { rehearseBatch, writeBatch } from './write-items.ts';
import { Failure } from '../../runtime/failure.ts';

export interface Database extends ClusterDatabase {
  readonly store: Store;
  /** Changes nothing. */
  recorded(): Promise<Recorded>;
  close(): Promise<void>;
}

const migrationsFolder = fileURLToPath(new URL('migrations', import.meta.url));
const migrateWithinMs = 60_000;
const pingWithinMs = 1_000; // A little more than whoever asks waits, so that looks at a frozen server do not pile up.

export function openDatabase(options: ConnectionOptions): Database {
  const queries = openPool(options);
  return {
    store: createStore(queries),
    migrate: () => migrate(options),
    async cluster(name) {
      // Made by whoever asks first; another who asks at the same time waits here for that.
      await queries.query(
        'making the cluster',
        'INSERT INTO cluster (id, name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING',
        [name],
      );
      const [row] = await queries.query<{ name: string; cluster_id: string }>(
        'reading the cluster',
        'SELECT name, cluster_id FROM cluster WHERE id = 1',
        [],
      );
      if (!row) throw new Failure('INTERNAL', 'the row of the cluster is gone: who deleted it?');
      if (row.name !== name)
        throw new Error(
          `the database belongs to cluster ${row.name}, this node is configured for ${name}: wrong database or wrong BATON_CLUSTER`,
        );
      return { clusterId: row.cluster_id };
    },
    admit: (node) => admit(queries, node),
    recorded() {
      const what = 'reading the recorded terms';
      return queries.urgently(what, (query) => readRecorded(query, what));
    },
    close: () => queries.close(),
  };
}

/** One runner at a time, under an advisory lock; the others wait for it. */
async function migrate(options: ConnectionOptions): Promise<void> {
  const what = 'migrating the schema';
  const client = new Client(connectionConfig(options, migrateWithinMs));
  client.on('error', () => undefined); // The pending query rejects with the same error.
  try {
    await client.connect();
  } catch (cause) {
    client.end().catch(() => undefined); // It never began.
    throw new Failure('DATABASE_UNAVAILABLE', `${what}: no connection to the database`, { cause });
  }
  try {
    await runner({
      dbClient: client,
      dir: migrationsFolder,
      direction: 'up',
      migrationsTable: 'migrations',
      advisoryLockMode: 'wait',
      log: () => undefined,
    });
  } catch (cause) {
    throw failureOf(what, cause);
  } finally {
    await client.end().catch(() => undefined); // It is of no use any more.
  }
}

function createStore(queries: Queries): Store {
  return {
    async ping() {
      const what = 'asking whether the database lives';
      await queries.urgently(what, (query) => query(what, 'SELECT 1', [], pingWithinMs));
    },
    claim: (claim) => claimFence(queries, claim),
    async fence() {
      const [row] = await queries.follow<{ term: number; holder: string | null }>(
        'reading the fence',
        'SELECT term, holder FROM fence WHERE id = 1',
      );
      if (!row) throw new Error('the fence has no row');
      return row;
    },

    rehearse: () => rehearseBatch(queries),
    writeBatch: (term, items) => writeBatch(queries, term, items),
    items: (query) => listItems(queries, query),
    item: (key) => findItem(queries, key),
    feedBounds: () => feedBounds(queries),
    feed: (page) => readFeed(queries, page),
    exportItems: (format) => exportItems(queries, format),
    counts: () => storedCounts(queries),

    takeCrawl: (term, request) => takeCrawl(queries, term, request),
    updateCrawl: (term, crawlId, update) => updateCrawl(queries, term, crawlId, update),
    takeLease: (term, lease) => takeLease(queries, term, lease),

    openFile: (term, request) => openFile(queries, term, request),
    stageRows: (_term, { upload, rows }) => stageRows(queries, upload, rows),
    applyUpload: (term, upload) => applyUpload(queries, term, upload),
    clearStaged: (upload) => clearStaged(queries, upload),
    rejectFile: (term, file) => rejectFile(queries, term, file),
    fileIntake: (fileId) => fileIntake(queries, fileId),
    fileOutcome: (term, fileId, outcome) => fileOutcome(queries, term, fileId, outcome),

    claimMail: (term, mailId, claim) => claimMail(queries, term, mailId, claim),
    mailResult: (term, mailId, result) => mailResult(queries, term, mailId, result),
    makeNotices: (term, step) => makeNotices(queries, term, step),
    dueDigests: (term, rules, limit) => dueDigests(queries, term, rules, limit),
    readDigest: (due) => readDigest(queries, due),
    queueDigest: (term, noticeIds, mail) => queueDigest(queries, term, noticeIds, mail),
    deferredMails: () => deferredMails(queries),
    dueMails: (term, limit) => dueMails(queries, term, limit),
    mailPublished: (term, mail) => mailPublished(queries, term, mail),

    sources: () => listSources(queries),
    putSource: (term, source) => putSource(queries, term, source),
    sourceAges: (options) => sourceAges(queries, options),
    watches: () => listWatches(queries),
    watch: (id) => findWatch(queries, id),
    putWatch: (term, watch) => putWatch(queries, term, watch),
    deleteWatch: (term, id) => deleteWatch(queries, term, id),
    eraseAddress: (term, address) => eraseAddress(queries, term, address),
    recentFiles: (limit) => recentFiles(queries, limit),
    recentMails: (limit) => recentMails(queries, limit),
    recentCrawls: (limit) => recentCrawls(queries, limit),
    async sweep(term, table, rowsMax) {
      const [row] = await queries.query<{ swept: number }>(
        `sweeping ${table}`,
        'SELECT sweep_step($1, $2, $3) AS swept',
        [term, table, rowsMax],
      );
      return row?.swept ?? 0;
    },

    ...deadLetterQueries(queries),
    ...traceQueries(queries),
  };
}
