// How long everything is kept, and deleting it after that, table by table, in small steps until nothing is left: a claim waits
// for one step at most, and writes run in between. A minute may bring sixty thousand expired rows.
import { Failure } from '../runtime/failure.ts';
import type { Store, Swept } from './store.ts';

/** nodes/database/functions/retention.sql says from when on, and what is kept for ever. */
export const keptFor: Readonly<Record<Swept, { days: number; rowsMax: number }>> = {
  // A step takes tens of milliseconds. Mails take their notices with them, letters their bodies.
  staged_rows: { days: 1, rowsMax: 5_000 },
  leases: { days: 1, rowsMax: 1_000 },
  leaderships: { days: 400, rowsMax: 1_000 },
  feed: { days: 30, rowsMax: 5_000 },
  deliveries: { days: 30, rowsMax: 5_000 },
  item_versions: { days: 400, rowsMax: 5_000 },
  crawls: { days: 90, rowsMax: 1_000 },
  files: { days: 400, rowsMax: 1_000 },
  'bytes of mails': { days: 30, rowsMax: 500 },
  mails: { days: 400, rowsMax: 200 },
  dead_letters: { days: 90, rowsMax: 200 },
  dead_letter_actions: { days: 400, rowsMax: 20 },
};
export const sweptTables = Object.keys(keptFor) as readonly Swept[];

/** The leader's job: each call is one step; whether the round has more of them. */
export function createRetention(store: Pick<Store, 'sweep'>): (term: number) => Promise<boolean> {
  let open: Swept[] = [];
  let failed: unknown;
  const reached = new Map<Swept, Date>();
  return async (term) => {
    if (open.length === 0) open = [...sweptTables];
    const [table, ...others] = open as [Swept, ...Swept[]];
    open = others;
    try {
      const step = await store.sweep(term, table, { ...keptFor[table], from: reached.get(table) });
      if (step.reached) reached.set(table, step.reached);
      // In turns, so that no table waits for the arrears of another.
      if (step.swept >= keptFor[table].rowsMax) open.push(table);
    } catch (error) {
      if (error instanceof Failure && error.rule.next === 'find-leader') {
        open = [];
        throw error;
      }
      failed ??= error; // The other tables first: what is wrong with one may be so for long.
    }
    if (open.length > 0) return true;
    const cause = failed;
    failed = undefined;
    if (cause !== undefined) throw cause;
    return false;
  };
}
