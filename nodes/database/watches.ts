// Watches: whom a change of prices, a rejected file or a new leader is told.
import type { Watch, WatchView } from '../../contracts/public-api.ts';
import type { WatchStore } from '../store.ts';
import type { Queries } from './pool.ts';

export function watchQueries({ query, read }: Queries): WatchStore {
  return {
    watches: () =>
      read<Watch>(
        'listing watches',
        'SELECT id, email, about, source, sku FROM watches ORDER BY email, about, source, sku',
      ),
    async watch(id) {
      const [watch] = await read<WatchView>(
        'reading a watch',
        'SELECT id, about, source, sku FROM watches WHERE id = $1',
        [id],
      );
      return watch;
    },
    async putWatch(term, watch) {
      const [row] = await query<{ id: string }>(
        'storing a watch',
        'SELECT put_watch($1, $2, $3, $4, $5) AS id',
        [term, watch.email, watch.about, watch.source, watch.sku],
      );
      if (!row) throw new Error('storing a watch answered nothing');
      return { id: row.id, ...watch };
    },
    async deleteWatch(term, id) {
      const [row] = await query<{ deleted: boolean }>(
        'deleting a watch',
        'SELECT delete_watch($1, $2) AS deleted',
        [term, id],
      );
      return row?.deleted === true;
    },
  };
}
