// One catalogue item at one version. Idempotency key: (source, sku, version).
import * as z from 'zod';
import { sourceNameSchema, versionSchema } from './ids.ts';

/** Half a surrogate pair is no character either: neither of them can be stored. */
const wholeCharacters = [/^[^\p{Cc}\p{Cs}]*$/u, 'no control characters'] as const;
const text = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .regex(...wholeCharacters);
const httpUrl = z
  .url({ protocol: /^https?$/ })
  .max(2000)
  .regex(...wholeCharacters);
export const skuLengthMax = 200;

/** A price in major units with at most four decimals; a JSON number of this kind is exact in numeric(16,4). */
const priceSchema = z
  .number()
  .min(0)
  .max(1e9)
  .refine((value) => Math.abs(value * 10_000 - Math.round(value * 10_000)) < 1e-3, 'at most four decimals');

export const currencySchema = z.string().regex(/^[A-Z]{3}$/, 'three capital letters (ISO 4217)');

/** What a page or file says of an item, before the intake gives it a version. */
export const itemContentSchema = z.strictObject({
  sku: text(skuLengthMax),
  title: text(500),
  url: httpUrl.nullable(),
  imageUrl: httpUrl.nullable(),
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
