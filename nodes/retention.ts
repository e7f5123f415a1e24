// Deletes what is past its retention, table by table, in small steps until nothing is left: a claim waits for one step at
// most, and writes run in between. A minute may bring sixty thousand expired rows.
import { Failure } from '../runtime/failure.ts';
import type { Store, Swept } from './store.ts';

/** What a step of each may take: tens of milliseconds. Mails take their notices with them, letters their bodies. */
const rowsPerStep: Readonly<Record<Swept, number>> = {
  staged_rows: 5_000,
  leases: 1_000,
  feed: 5_000,
  deliveries: 5_000,
  item_versions: 5_000,
  crawls: 1_000,
  files: 1_000,
  'bytes of mails': 500,
  mails: 200,
  dead_letters: 200,
  dead_letter_actions: 20,
};
export const sweptTables = Object.keys(rowsPerStep) as readonly Swept[];

/** The leader's job: each call is one step; whether the round has more of them. */
export function createRetention(store: Pick<Store, 'sweep'>): (term: number) => Promise<boolean> {
  let open: Swept[] = [];
  let failed: unknown;
  return async (term) => {
    if (open.length === 0) open = [...sweptTables];
    const [table, ...others] = open as [Swept, ...Swept[]];
    open = others;
    try {
      const rows = rowsPerStep[table];
      // In turns, so that no table waits for the arrears of another.
      if ((await store.sweep(term, table, rows)) >= rows) open.push(table);
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
