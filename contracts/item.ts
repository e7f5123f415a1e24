// One catalogue item at one version. Idempotency key: (source, sku, version).
import * as z from 'zod';
import { sourceNameSchema, versionSchema } from './ids.ts';

const noControlCharacters = /^\P{Cc}*$/u;
const text = (max: number) =>
  z.string().trim().min(1).max(max).regex(noControlCharacters, 'no control characters');

/** A price in major units with at most four decimals; a JSON number of this kind is exact in numeric(16,4). */
export const priceSchema = z
  .number()
  .min(0)
  .max(1e9)
  .refine((value) => Math.abs(value * 10_000 - Math.round(value * 10_000)) < 1e-3, 'at most four decimals');

export const currencySchema = z.string().regex(/^[A-Z]{3}$/, 'three capital letters (ISO 4217)');

/** What a page or file says of an item, before the intake gives it a version. */
export const itemContentSchema = z.strictObject({
  sku: text(200),
  title: text(500),
  url: z
    .url({ protocol: /^https?$/ })
    .max(2000)
    .nullable(),
  imageUrl: z
    .url({ protocol: /^https?$/ })
    .max(2000)
    .nullable(),
  price: priceSchema.nullable(),
  currency: currencySchema.nullable(),
  inStock: z.boolean(),
  stock: z.int().min(0).max(1e9).nullable(),
});
export type ItemContent = z.infer<typeof itemContentSchema>;

export const itemSchema = itemContentSchema.extend({
  source: sourceNameSchema,
  version: versionSchema,
  /** True when a finished crawl or a snapshot file no longer has the item. */
  vanished: z.boolean().default(false),
});
export type Item = z.infer<typeof itemSchema>;
