// Which items go to the leader, and in which requests: of each key the newest version once, in batches that the leader
// takes. Pure.
import type { Item } from '../../contracts/item.ts';
import { batchBytesMax, batchItemsMax } from '../../contracts/node-api.ts';

/** One item of the invocation; `Origin` says where it came from. */
export interface Candidate<Origin> {
  readonly origin: Origin;
  readonly messageId: string;
  readonly traceparent: string;
  readonly item: Item;
}
export interface Selection<Origin> {
  readonly newest: readonly Candidate<Origin>[];
  /** Older than another of this invocation, or the very same: nothing is left to be done. */
  readonly superseded: number;
  /** The same version of an item with other content than the first: one of them is wrong, and nobody can tell which. */
  readonly reused: readonly Candidate<Origin>[];
}

export function selectNewest<Origin>(candidates: readonly Candidate<Origin>[]): Selection<Origin> {
  const newest = new Map<string, Candidate<Origin>>();
  const reused: Candidate<Origin>[] = [];
  let superseded = 0;
  for (const candidate of candidates) {
    const { item } = candidate;
    const key = `${item.source}\n${item.sku}`; // Neither part can hold a line feed.
    const other = newest.get(key);
    if (!other || item.version > other.item.version) {
      if (other) superseded += 1;
      newest.set(key, candidate);
    } else if (item.version < other.item.version || sameContent(item, other.item)) superseded += 1;
    else reused.push(candidate);
  }
  return { newest: [...newest.values()], superseded, reused };
}

/** The schema gives every item its fields in one order. */
function sameContent(one: Item, other: Item): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

const envelopeBytes = 64; // `{"items":[]}` and room to spare.
const entryBytes = 1_000; // What an entry takes whose texts are empty: names of fields, ids and numbers.

export function splitIntoBatches<Origin>(
  candidates: readonly Candidate<Origin>[],
  { itemsMax = batchItemsMax, bytesMax = batchBytesMax }: { itemsMax?: number; bytesMax?: number } = {},
): Candidate<Origin>[][] {
  const batches: Candidate<Origin>[][] = [];
  let current: Candidate<Origin>[] = [];
  let bytes = envelopeBytes;
  for (const candidate of candidates) {
    const more = bytesAtMost(candidate.item);
    if (current.length === itemsMax || (current.length > 0 && bytes + more > bytesMax)) {
      batches.push(current);
      current = [];
      bytes = envelopeBytes;
    }
    current.push(candidate);
    bytes += more;
  }
  if (current.length > 0) batches.push(current);
  return batches;
}

/** An upper bound, since writing every entry twice to know its length costs more than a request now and then. */
function bytesAtMost({ sku, title, url, imageUrl }: Item): number {
  const characters = sku.length + title.length + (url?.length ?? 0) + (imageUrl?.length ?? 0);
  return entryBytes + 3 * characters; // Three bytes of UTF-8 at most for a unit of UTF-16; an item cannot hold what JSON escapes to more.
}

/** An item as the leader reads it: see batchRequestSchema. */
export function toEntry({ messageId, traceparent, item }: Candidate<unknown>): {
  messageId: string;
  traceparent: string;
  item: Item;
} {
  return { messageId, traceparent, item };
}
