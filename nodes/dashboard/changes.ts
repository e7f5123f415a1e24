// The stream of items as the page keeps it: newest first, bounded, without repeats. Pure.
import type { BatonEvent } from '../../contracts/event.ts';

export type ItemChange = Extract<BatonEvent, { type: 'item.changed' }>;
export type ChangeKind = ItemChange['change'];
export const changeKinds = [
  'new',
  'price',
  'stock',
  'content',
  'vanished',
  'returned',
] as const satisfies ChangeKind[];

export const changesKept = 300; // What the filter searches.
export const changesShown = 100; // What stands in the document: more rows than anybody reads, few enough to be quick.

/** `fresh` in the order of arrival. A stream that starts anew sends some again: ids tell. */
export function addChanges(
  known: readonly ItemChange[],
  fresh: readonly ItemChange[],
): readonly ItemChange[] {
  const newest = known[0]?.id ?? 0;
  const added = fresh.filter(({ id }) => id > newest).toReversed();
  return added.length === 0 ? known : [...added, ...known].slice(0, changesKept);
}

export interface ChangeFilter {
  /** In title, sku or source, whatever the case. */
  readonly text: string;
  readonly kind: ChangeKind | 'all';
}

export function filterChanges(changes: readonly ItemChange[], filter: ChangeFilter): readonly ItemChange[] {
  const text = filter.text.trim().toLocaleLowerCase();
  if (text === '' && filter.kind === 'all') return changes;
  return changes.filter(
    ({ change, title, sku, source }) =>
      (filter.kind === 'all' || change === filter.kind) &&
      `${title}\n${sku}\n${source}`.toLocaleLowerCase().includes(text),
  );
}
