// How the queue `items` is split where one mapping is the limit: by a hash of the item's key, which whoever publishes
// computes, so that all versions of an item go the same way, in order. One partition is the queue as it is unsplit.
// What it computes is never changed: two publishers that disagree would put one item into two queues.
import * as z from 'zod';

const itemPartitionsMax = 64;
const allowed = `a whole number from 1 to ${itemPartitionsMax}`;

/** Takes the text of a variable or an option, or a number of cdk.json. */
export const itemPartitionsSchema = z.coerce
  .number<string>({ error: allowed })
  .int(allowed)
  .min(1, allowed)
  .max(itemPartitionsMax, allowed);

export function itemPartitionOf(
  { source, sku }: { readonly source: string; readonly sku: string },
  partitions: number,
): number {
  return hash32(`${source}\n${sku}`) % partitions; // Neither part can hold a line feed.
}

/** FNV-1a of the UTF-8 bytes, then MurmurHash3's finalizer, since the low bits of FNV alone spread badly. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The first is `items` itself, so whoever knows of no others still publishes where somebody consumes. */
export function itemQueueName(partition: number): string {
  return partition === 0 ? 'items' : `items-${partition}`;
}
export function itemQueueNames(partitions: number): string[] {
  return Array.from({ length: partitions }, (_, partition) => itemQueueName(partition));
}

/** An item queue as the broker has it, with the messages of its retry queue. */
export interface FoundItemQueue {
  readonly name: string;
  readonly messages: number;
}
/**
 * Why `found`, all item queues that there are, must not become `partitions` now; undefined when they may. Messages in a queue
 * that loses its mapping would stay there, and those of a key that moves would be overtaken.
 */
export function refusedChange(found: readonly FoundItemQueue[], partitions: number): string | undefined {
  const waiting = found.filter(({ messages }) => messages > 0);
  if (found.length === 0 || found.length === partitions || waiting.length === 0) return undefined;
  return `the item queues are ${found.length} and cannot become ${partitions} while messages wait in ${waiting.map(({ name, messages }) => `${name} (${messages})`).join(', ')}: go on with ${found.length} until they are empty (docs/runbook.md, "Another number of partitions")`;
}
