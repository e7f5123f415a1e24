// Claims a term in the database: from then on no older term writes. A claim waits for the writers of the older term, which
// takes milliseconds; one that is frozen in the middle of a statement is ended after a second.
import type { ClaimResult } from '../store.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import type { Queries } from './pool.ts';

const frozenAfterMs = 1_000;

/**
 * Asked again by the same holder it is claimed again, so a lost answer does no harm.
 * @throws Failure DATABASE_UNAVAILABLE or DATABASE_TIMEOUT.
 */
export async function claimFence(
  queries: Queries,
  { term, holder }: { term: number; holder: string },
): Promise<ClaimResult> {
  const what = `claiming term ${term}`;
  return queries.urgently(what, async (query) => {
    const [session] = await query<{ pid: number }>(what, 'SELECT pg_backend_pid() AS pid');
    let rescue: Promise<unknown> = Promise.resolve();
    let unrescued = '';
    const frozen = setInterval(() => {
      // One that fails is tried again in the next second; the claim has a bound of its own.
      rescue = endBlockers(queries, session?.pid ?? 0).catch((error: unknown) => {
        unrescued = `; ending who holds it failed: ${describeError(error)}`;
      });
    }, frozenAfterMs);
    try {
      const [answer] = await query<{ claimed: boolean; current_term: number }>(
        what,
        'SELECT claimed, current_term FROM claim_fence($1, $2)',
        [term, holder],
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
 * Exactly the sessions that this claim waits for: writers of an older term whose process does not go on. Only Baton's
 * own, since a server's own worker among them would make the whole statement fail; that one gives way by itself.
 */
async function endBlockers(queries: Queries, backend: number): Promise<void> {
  const what = 'ending frozen writers';
  await queries.urgently(what, (query) =>
    query(
      what,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE pid = ANY (pg_blocking_pids($1)) AND usename = current_user`,
      [backend],
    ),
  );
}
