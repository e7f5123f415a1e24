// Where items come from: a shop that is crawled, or a partner whose files arrive by FTP. Kept in the
// database, edited through the public API (role editor), handed to the scraper with a crawl's lease.
import * as z from 'zod';
import { sourceNameSchema } from './ids.ts';
import { currencySchema } from './item.ts';

/** CSS selectors relative to `item`; `@name` after a selector reads that attribute instead of the text. */
export const selectorsSchema = z.strictObject({
  item: z.string().min(1).max(500),
  sku: z.string().max(500).optional(),
  title: z.string().min(1).max(500),
  price: z.string().max(500).optional(),
  stock: z.string().max(500).optional(),
  url: z.string().max(500).optional(),
  image: z.string().max(500).optional(),
  next: z.string().max(500).optional(),
});

/**
 * A source is overdue when its last good crawl or file is older than this many of its intervals. One is what passes in
 * health; a crawl that fails or pauses and is taken up again makes it two; in the fourth nothing is left to wait for.
 */
export const overdueAfterIntervals = 3;

export const shopSourceSchema = z.strictObject({
  kind: z.literal('shop'),
  name: sourceNameSchema,
  startUrls: z
    .array(z.url({ protocol: /^https?$/ }))
    .min(1)
    .max(50),
  /** Seconds from the end of one crawl to the next. */
  everySeconds: z
    .int()
    .min(5)
    .max(7 * 86_400),
  /** Used where a page gives none. */
  currency: currencySchema.nullable().default(null),
  /** Needed only for pages without JSON-LD, microdata or OpenGraph. */
  selectors: selectorsSchema.optional(),
  /** Least time between two requests to one host, unless robots.txt asks for more. */
  requestEveryMs: z.int().min(0).max(60_000).default(1_000),
  pagesMax: z.int().min(1).max(100_000).default(1_000),
  enabled: z.boolean().default(true),
});
const partnerSourceSchema = z.strictObject({
  kind: z.literal('partner'),
  name: sourceNameSchema,
  currency: currencySchema.nullable().default(null),
  /** A snapshot names every item the partner has, so what is missing from it has vanished. */
  snapshot: z.boolean().default(false),
  /** How often a good file is expected. Left out, files come when they come, and the source is never overdue. */
  fileEverySeconds: z
    .int()
    .min(60)
    .max(90 * 86_400)
    .optional(),
  /** A file with a larger share of bad rows is rejected whole; below it, bad rows are counted and named. */
  badRowsShareMax: z.number().min(0).max(1).default(0.1),
  /** A file of one that is switched off is rejected unread. */
  enabled: z.boolean().default(true),
});
export const sourceSchema = z.discriminatedUnion('kind', [shopSourceSchema, partnerSourceSchema]);
export type Source = z.infer<typeof sourceSchema>;
export type ShopSource = z.infer<typeof shopSourceSchema>;
