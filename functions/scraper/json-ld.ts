// Products and product lists in a page's JSON-LD (schema.org Product, ProductGroup, ItemList).
// A broken script is skipped with a note and never takes the page with it.
import { textContent } from 'domutils';
import { queryAll, type PageDocument } from './page-tree.ts';
import type { RawItem } from './raw-item.ts';

type Json = Readonly<Record<string, unknown>>;
const depthMax = 12; // Real pages nest five deep at most (@graph, mainEntity, itemListElement, item, offers).

export function readJsonLd(document: PageDocument): {
  items: RawItem[];
  links: string[];
  problems: string[];
} {
  const found = { items: [] as RawItem[], links: [] as string[], problems: [] as string[] };
  const scripts = queryAll('script[type="application/ld+json" i]', document);
  for (const [index, script] of scripts.entries()) {
    let value: unknown;
    try {
      value = JSON.parse(textContent(script));
    } catch (error) {
      found.problems.push(`JSON-LD script ${index + 1} is broken and skipped: ${(error as Error).message}`);
      continue;
    }
    visit(value, found, 0);
  }
  return found;
}

function visit(value: unknown, found: { items: RawItem[]; links: string[] }, depth: number): void {
  if (depth > depthMax) return;
  if (Array.isArray(value)) {
    for (const entry of value) visit(entry, found, depth + 1);
    return;
  }
  if (!isObject(value)) return;
  if (hasType(value, 'Product', 'IndividualProduct', 'ProductModel')) {
    // A product of a list with no offer is a teaser: what it costs stands on its own page.
    if (value['offers'] === undefined && text(value['url']) !== undefined && depth > 1)
      found.links.push(text(value['url']) as string);
    else found.items.push(toRaw(value));
    return;
  }
  if (hasType(value, 'ListItem') && typeof value['item'] === 'string') found.links.push(value['item']);
  else if (hasType(value, 'ListItem') && value['item'] === undefined && text(value['url']) !== undefined)
    found.links.push(text(value['url']) as string);
  for (const name of ['@graph', 'mainEntity', 'itemListElement', 'item', 'hasVariant'])
    if (!(hasType(value, 'BreadcrumbList') && name === 'itemListElement'))
      visit(value[name], found, depth + 1);
}

function toRaw(product: Json): RawItem {
  const offer = firstObject(product['offers']) ?? {};
  const specification = firstObject(offer['priceSpecification']) ?? {};
  const level = firstObject(offer['inventoryLevel']) ?? {};
  return {
    sku: firstText(product, ['sku', 'productID', 'mpn', 'gtin13', 'gtin', 'gtin8', 'gtin12', 'gtin14']),
    title: text(product['name']),
    url: text(product['url']) ?? text(offer['url']),
    image: imageOf(product['image']),
    price: text(offer['price']) ?? text(offer['lowPrice']) ?? text(specification['price']),
    currency: text(offer['priceCurrency']) ?? text(specification['priceCurrency']),
    stock: text(level['value']),
    availability: text(offer['availability']),
  };
}

function imageOf(value: unknown): string | undefined {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return isObject(first) ? (text(first['url']) ?? text(first['contentUrl'])) : text(first);
}
function firstText(object: Json, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = text(object[name]);
    if (value !== undefined) return value;
  }
  return undefined;
}
function firstObject(value: unknown): Json | undefined {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return isObject(first) ? first : undefined;
}
function text(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
function hasType(value: Json, ...types: readonly string[]): boolean {
  const stated: readonly unknown[] = Array.isArray(value['@type']) ? value['@type'] : [value['@type']];
  return stated.some(
    (type) => typeof type === 'string' && types.includes(type.replace(/^https?:\/\/schema\.org\//u, '')),
  );
}
