// Crawls and leases: handed out fenced and by the database's clock. A crawl that its worker left is taken up again with
// the same intake, so what it publishes twice has the same versions.
import { crawlLeaseSchema } from '../../contracts/node-api.ts';
import type { CrawlStore } from '../store.ts';
import type { Queries } from './pool.ts';
import { storableText } from './storable-text.ts';

export function crawlQueries({ query }: Queries): CrawlStore {
  return {
    async takeCrawl(term, { owner, leaseMs, source }) {
      const [row] = await query<{
        crawl_id: string;
        intake: number;
        definition: unknown;
        state: unknown;
        resumed: boolean;
      }>(
        'taking a crawl',
        'SELECT crawl_id, intake, definition, state, resumed FROM take_crawl($1, $2, $3, $4)',
        [term, owner, leaseMs, source ?? null],
      );
      if (!row) return undefined;
      const { crawl_id: crawlId, definition, intake, state, resumed } = row;
      return crawlLeaseSchema.parse({ crawlId, source: definition, intake, state, resumed });
    },
    async updateCrawl(term, crawlId, { owner, leaseMs, status, state, counts, reason, problem, waitMs }) {
      await query('storing a crawl', 'SELECT update_crawl($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)', [
        term,
        crawlId,
        owner,
        leaseMs,
        status,
        state === undefined ? null : JSON.stringify(state),
        JSON.stringify(counts),
        reason ?? null,
        problem === undefined ? null : storableText(problem),
        waitMs ?? null,
      ]);
    },
    async takeLease(term, { name, owner, leaseMs }) {
      const [row] = await query<{ expires_at: Date }>(
        `taking the lease ${name}`,
        'SELECT take_lease($1, $2, $3, $4) AS expires_at',
        [term, name, owner, leaseMs],
      );
      if (!row) throw new Error(`taking the lease ${name} answered nothing`);
      return { expiresAt: row.expires_at.toISOString() };
    },
  };
}
