// Claims a term in the database: from then on no older term writes. A claim waits for the writers of the older term, which
// takes milliseconds; one that is frozen in the middle of a statement is ended after a second.
import type { ClaimResult, FenceStore } from '../store.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import type { Queries } from './pool.ts';

const frozenAfterMs = 1_000;
const pingWithinMs = 1_000; // A little more than whoever asks waits, so that looks at a frozen server do not pile up.

export function fenceQueries(queries: Queries): FenceStore {
  return {
    async ping() {
      const what = 'asking whether the database lives';
      const [row] = await queries.urgently(what, (query) =>
        query<{ readOnly: boolean }>(
          what,
          `SELECT current_setting('transaction_read_only') = 'on' AS "readOnly"`,
          [],
          pingWithinMs,
        ),
      );
      return { readOnly: row?.readOnly ?? true };
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
    writeOutage: () => queries.writeOutage(),
  };
}

/**
 * Asked again by the same holder it is claimed again, so a lost answer does no harm.
 * @throws Failure DATABASE_UNAVAILABLE or DATABASE_TIMEOUT.
 */
async function claimFence(
  queries: Queries,
  { term, holder, reason = '' }: { term: number; holder: string; reason?: string },
): Promise<ClaimResult> {
  const what = `claiming term ${term}`;
  return queries.urgently(what, async (query) => {
    let rescue: Promise<unknown> = Promise.resolve();
    let unrescued = '';
    const frozen = setInterval(() => {
      // One that fails is tried again in the next second; the claim has a bound of its own.
      rescue = endBlockers(queries).catch((error: unknown) => {
        unrescued = `; ending who holds it failed: ${describeError(error)}`;
      });
    }, frozenAfterMs);
    try {
      const [answer] = await query<{ claimed: boolean; current_term: number }>(
        what,
        'SELECT claimed, current_term FROM claim_fence($1, $2, $3)',
        [term, holder, reason],
      );
      if (!answer) throw new Error('claim_fence answered nothing');
      return answer.claimed ? { kind: 'claimed' } : { kind: 'refused', databaseTerm: answer.current_term };
    } catch (error) {
      if (unrescued === '' || !(error instanceof Failure)) throw error;
      throw new Failure(error.code, `${what}${unrescued}`, { cause: error });
    } finally {
      clearInterval(frozen);
      await rescue;
    }
  });
}

/**
 * Exactly the sessions that a claim waits for and that wait for nothing themselves: writers of an older term whose process
 * does not go on. Only Baton's own, since a server's own worker among them would make the whole statement fail; that one
 * gives way by itself.
 */
async function endBlockers(queries: Queries): Promise<void> {
  const what = 'ending frozen writers';
  await queries.urgently(what, (query) =>
    query(
      what,
      `SELECT pg_terminate_backend(writer.pid)
       FROM pg_locks claim JOIN pg_stat_activity writer ON writer.pid = ANY (pg_blocking_pids(claim.pid))
       WHERE claim.relation = 'fence'::regclass AND claim.mode = 'ExclusiveLock' AND NOT claim.granted
         AND claim.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND writer.usename = current_user
         AND NOT EXISTS (SELECT FROM pg_locks waits WHERE waits.pid = writer.pid AND NOT waits.granted)`,
    ),
  );
}
