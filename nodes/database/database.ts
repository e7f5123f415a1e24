// The node's database: everything of Store over one pool of connections, and what a node needs before it may vote.
// Opening connects to nothing, so a node starts while the database is away.
import type { ClusterDatabase } from '../identity/join-cluster.ts';
import type { Store } from '../store.ts';
import { admit, readRecorded, type Recorded } from './admission.ts';
import { crawlQueries } from './crawls.ts';
import { deadLetterQueries } from './dead-letters.ts';
import { fenceQueries } from './fence.ts';
import { fileQueries } from './files.ts';
import { itemQueries } from './items.ts';
import { mailQueries } from './mails.ts';
import { migrate } from './migrate.ts';
import { openPool, type ConnectionOptions } from './pool.ts';
import { recentQueries } from './recent.ts';
import { retentionQueries } from './retention.ts';
import { sourceQueries } from './sources.ts';
import { traceQueries } from './traces.ts';
import { watchQueries } from './watches.ts';
import { Failure } from '../../runtime/failure.ts';

export interface Database extends ClusterDatabase {
  readonly store: Store;
  /** Changes nothing. */
  recorded(): Promise<Recorded>;
  close(): Promise<void>;
}

export function openDatabase(options: ConnectionOptions): Database {
  const queries = openPool(options);
  return {
    store: {
      ...fenceQueries(queries),
      ...itemQueries(queries),
      ...crawlQueries(queries),
      ...fileQueries(queries),
      ...mailQueries(queries),
      ...sourceQueries(queries),
      ...watchQueries(queries),
      ...recentQueries(queries),
      ...retentionQueries(queries),
      ...deadLetterQueries(queries),
      ...traceQueries(queries),
    },
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
