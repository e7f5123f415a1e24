// The message a scraper publishes for each page it has read: about twenty items.
// Exchange `baton`, routing key `items.<source>`, type `item-page`.
// Idempotency key: the message id, sha256 of (source, intake, page); within it each item's version.
import * as z from 'zod';
import { intakeOf, sourceNameSchema, traceparentSchema } from './ids.ts';
import type { Item } from './item.ts';

export const itemPageVersion = 1;
export const itemPageType = 'item-page';
export const itemsPerPageMax = 200;
/** A message above this is dead-lettered unread; Lambda's own cap on one invocation is 6 MB. */
export const itemPageBytesMax = 1024 * 1024;
/**
 * RabbitMQ 4.2 on Amazon MQ takes no larger body (max_message_size of m7g brokers, AWS "Default resource limits for Amazon MQ
 * for RabbitMQ"): it closes the channel, and what others publish on it fails too.
 */
export const messageBytesMax = 512 * 1024;
/** What a publisher fills a message's items to, with room for the envelope. */
export const itemPageFilledBytesMax = 448 * 1024;

/** The envelope only: each item is judged on its own by itemSchema, so that one bad item does not take the page with it. */
export const itemPageSchema = z.object({
  version: z.literal(itemPageVersion),
  source: sourceNameSchema,
  intake: z.int().min(1),
  page: z.int().min(0),
  url: z.string().max(2000),
  fetchedAt: z.iso.datetime(),
  traceparent: traceparentSchema,
  items: z.array(z.unknown()).max(itemsPerPageMax),
});
export type ItemPage = z.infer<typeof itemPageSchema>;

/**
 * What keeps an item that is well-formed from being one of its page. A version of a later intake would make everything that
 * comes after it stale.
 */
export function misplaced(
  { source, version }: Item,
  page: Pick<ItemPage, 'source' | 'intake'>,
): { path: 'source' | 'version'; message: string } | undefined {
  if (source !== page.source) return { path: 'source', message: `${source} on a page of ${page.source}` };
  if (intakeOf(version) !== page.intake)
    return {
      path: 'version',
      message: `${version} is of intake ${intakeOf(version)}, on a page of ${page.intake}`,
    };
  return undefined;
}
