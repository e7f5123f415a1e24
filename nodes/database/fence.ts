// Claims a term in the database: from then on no older term writes. A claim waits for the writers of the older term, which
// takes milliseconds; one that is frozen in the middle of a statement is ended after a second.
import { Client } from 'pg';
import { Failure } from '../../runtime/failure.ts';
import type { ClaimResult } from '../store.ts';
import { connectionConfig, failureOf, type ConnectionOptions } from './pool.ts';

const frozenAfterMs = 1_000;
const claimWithinMs = 5_000;

/**
 * Asked again by the same holder it is claimed again, so a lost answer does no harm.
 * @throws Failure DATABASE_UNAVAILABLE or DATABASE_TIMEOUT.
 */
export async function claimFence(
  options: ConnectionOptions,
  { term, holder }: { term: number; holder: string },
): Promise<ClaimResult> {
  const what = `claiming term ${term}`;
  // A connection of its own: its backend's id is known, and no pool's queue delays it.
  const claimer = await connect(options, what, claimWithinMs);
  let rescue: Promise<void> = Promise.resolve();
  const frozen = setInterval(() => {
    rescue = endBlockers(options, backendOf(claimer));
  }, frozenAfterMs);
  try {
    const { rows } = await claimer.query<{ claimed: boolean; current_term: number }>(
      'SELECT claimed, current_term FROM claim_fence($1, $2)',
      [term, holder],
    );
    const [answer] = rows;
    if (!answer) throw new Error('claim_fence answered nothing');
    return answer.claimed ? { kind: 'claimed' } : { kind: 'refused', databaseTerm: answer.current_term };
  } catch (cause) {
    throw failureOf(what, cause);
  } finally {
    clearInterval(frozen);
    await rescue;
    await claimer.end().catch(() => undefined); // It is of no use any more, ended or not.
  }
}

/** Exactly the sessions that this claim waits for: writers of an older term whose process does not go on. */
async function endBlockers(options: ConnectionOptions, backend: number): Promise<void> {
  try {
    const rescuer = await connect(options, 'ending frozen writers', frozenAfterMs);
    try {
      await rescuer.query('SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS pid', [
        backend,
      ]);
    } finally {
      await rescuer.end();
    }
  } catch {
    // The next second tries again, and the claim has a bound of its own.
  }
}

async function connect(options: ConnectionOptions, what: string, withinMs: number): Promise<Client> {
  const client = new Client({
    ...connectionConfig(options),
    statement_timeout: withinMs,
    query_timeout: withinMs + 500,
  });
  client.on('error', () => undefined); // The pending query rejects with the same error.
  try {
    await client.connect();
    return client;
  } catch (cause) {
    client.end().catch(() => undefined); // It never began.
    throw new Failure('DATABASE_UNAVAILABLE', `${what}: no connection to the database`, { cause });
  }
}

/** The server's id of this connection, which pg keeps for cancelling and does not type. */
function backendOf(client: Client): number {
  return (client as Client & { processID: number }).processID;
}
