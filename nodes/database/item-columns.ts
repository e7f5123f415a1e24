// The columns of an item, as the tables items, item_versions and staged_rows have them. Lists of them in statements are made
// here, so that a field that is added to an item is forgotten in none of them.
import type { Item } from '../../contracts/item.ts';

type Field = keyof Item;
interface Column {
  readonly name: string;
  readonly type: string;
}

const columns: Readonly<Record<Field, Column>> = {
  source: { name: 'source', type: 'text' },
  sku: { name: 'sku', type: 'text' },
  version: { name: 'version', type: 'bigint' },
  title: { name: 'title', type: 'text' },
  url: { name: 'url', type: 'text' },
  imageUrl: { name: 'image_url', type: 'text' },
  price: { name: 'price', type: 'numeric' },
  currency: { name: 'currency', type: 'text' },
  inStock: { name: 'in_stock', type: 'boolean' },
  stock: { name: 'stock', type: 'integer' },
  vanished: { name: 'vanished', type: 'boolean' },
};
export const itemFields = Object.keys(columns) as readonly Field[];
/** What an item says, beside which it is and at which version. */
export const contentFields = itemFields.filter((field) => !['source', 'sku', 'version'].includes(field));

const list = (fields: readonly Field[], write: (column: Column, field: Field, place: number) => string) =>
  fields.map((field, place) => write(columns[field], field, place)).join(', ');

/** `source, sku, ...` */
export const itemColumns = list(itemFields, ({ name }) => name);
/** The same as they are called in TypeScript: `..., image_url AS "imageUrl", ...` */
export const itemSelection = list(itemFields, ({ name }, field) => `${name} AS "${field}"`);
/** `(items.title, items.url, ...)`, for a comparison with that of another table. */
export const contentOf = (table: string, fields = contentFields): string =>
  `(${list(fields, ({ name }) => `${table}.${name}`)})`;
/** `title = given.title, url = given.url, ...`, for an update. */
export const contentFrom = (table: string): string =>
  list(contentFields, ({ name }) => `${name} = ${table}.${name}`);
/** `$3::text[], $4::text[], ...`: a parameter for each column, filled by `itemValues`. */
export const itemArrays = (first: number): string =>
  list(itemFields, ({ type }, _, place) => `$${first + place}::${type}[]`);
export const itemValues = (items: readonly Item[]): unknown[][] =>
  itemFields.map((field) => items.map((item) => item[field]));
