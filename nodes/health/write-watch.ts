// Looks whether the database does what a leader asks of it, and says so where it does not: for /health, in the log, and by
// silence for the alarm that hears whether anybody writes (nodes/leader-jobs.ts). No role changes: another leader would
// have the same database.
import { codeOf, describeError } from '../../runtime/failure.ts';
import type { Emit } from '../../runtime/logger.ts';
import type { LeadershipView } from '../../contracts/public-api.ts';
import type { Store } from '../store.ts';
import type { Problems } from './problems.ts';

const lookEveryMs = 500;
/** The same cause may come and go. */
const tellAgainAfterMs = 60_000;

export function watchWrites({
  leadership,
  store,
  problems,
  emit,
}: {
  leadership: { readonly state: LeadershipView };
  store: Pick<Store, 'writeOutage'>;
  problems: Pick<Problems, 'say'>;
  emit: Emit;
}) {
  let told = { cause: '', at: Number.NEGATIVE_INFINITY };
  const look = (): void => {
    const outage = leadership.state.kind === 'leading' ? store.writeOutage() : undefined;
    if (outage === undefined) return problems.say('writes', null);
    const { what, since, cause, error } = outage;
    const words = `writes fail since ${since.toISOString().slice(0, 19)}Z (${what}): ${cause}`;
    problems.say('writes', words);
    if (told.cause === cause && performance.now() - told.at < tellAgainAfterMs) return;
    told = { cause, at: performance.now() };
    const detail = error === undefined ? words : `${words}: ${describeError(error)}`;
    emit({ type: 'problem', code: error === undefined ? 'DATABASE_TIMEOUT' : codeOf(error), detail });
  };
  const timer = setInterval(look, lookEveryMs);
  return { name: 'write watch', close: (): void => clearInterval(timer) };
}
