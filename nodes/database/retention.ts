// Taking away what is past its time, in steps that an index bounds; nodes/retention.ts says when.
import type { RetentionStore } from '../store.ts';
import type { Queries } from './pool.ts';

export function retentionQueries({ query }: Queries): RetentionStore {
  return {
    async sweep(term, table, { days, rowsMax, from }) {
      const [step] = await query<{ swept: number; reached: Date | null }>(
        `sweeping ${table}`,
        'SELECT swept, reached FROM sweep_step($1, $2, $3, $4, $5)',
        [term, table, days, rowsMax, from ?? null],
      );
      if (!step) throw new Error(`sweeping ${table} answered nothing`);
      return { swept: step.swept, reached: step.reached ?? undefined };
    },
  };
}
