// Products and product lists in a page's JSON-LD (schema.org Product, ProductGroup, ItemList).
// A broken script is skipped with a note and never takes the page with it.
import { textContent } from 'domutils';
import { chooseOffer, type Offer } from './choose-offer.ts';
import { decodeReferences, queryAll, type PageDocument } from './page-tree.ts';
import { prefer } from './prefer.ts';
import type { RawItem, RawPrice } from './raw-item.ts';
import { repairJson } from './repair-json.ts';

type Json = Readonly<Record<string, unknown>>;
const depthMax = 12; // Real pages nest five deep at most (@graph, mainEntity, itemListElement, item, offers).

export interface JsonLd {
  readonly items: RawItem[];
  readonly links: string[];
  readonly problems: string[];
  /** A script that names a product cannot be read: the page has an item whose key is not known. */
  readonly hidesProduct: boolean;
}

export function readJsonLd(document: PageDocument): JsonLd {
  const found = { items: [] as RawItem[], links: [] as string[], problems: [] as string[] };
  let hidesProduct = false;
  const scripts = queryAll('script[type="application/ld+json" i]', document);
  for (const [index, script] of scripts.entries()) {
    const written = textContent(script);
    try {
      visit(parse(written), found, 0);
    } catch (error) {
      found.problems.push(`JSON-LD script ${index + 1} is broken and skipped: ${(error as Error).message}`);
      hidesProduct ||= /"Product(?:Group)?"/u.test(written);
    }
  }
  return { ...found, hidesProduct };
}

function parse(written: string): unknown {
  try {
    return JSON.parse(written);
  } catch {
    return JSON.parse(repairJson(written));
  }
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
  if (hasType(value, 'ProductGroup')) {
    const variants = objects(value['hasVariant']);
    if (value['hasVariant'] === undefined && value['offers'] !== undefined) found.items.push(toRaw(value));
    const { name, image } = value;
    for (const variant of variants) visit({ name, image, ...variant }, found, depth + 1);
    return;
  }
  if (hasType(value, 'ListItem') && typeof value['item'] === 'string') found.links.push(value['item']);
  else if (hasType(value, 'ListItem') && value['item'] === undefined && text(value['url']) !== undefined)
    found.links.push(text(value['url']) as string);
  for (const name of ['@graph', 'mainEntity', 'itemListElement', 'item'])
    if (!(hasType(value, 'BreadcrumbList') && name === 'itemListElement'))
      visit(value[name], found, depth + 1);
}

function toRaw(product: Json): RawItem {
  const { url, ...offer } = chooseOffer(offersOf(product['offers'], 0));
  return {
    sku: firstText(product, ['sku', 'productID', 'mpn', 'gtin13', 'gtin', 'gtin8', 'gtin12', 'gtin14']),
    title: text(product['name']),
    url: text(product['url']) ?? url,
    image: imageOf(product['image']),
    ...offer,
  };
}

/** Each by itself: what an AggregateOffer holds says for itself what that one leaves open. */
function offersOf(value: unknown, depth: number): Offer[] {
  if (depth > depthMax) return [];
  return objects(value).flatMap(({ offers, ...offer }) => {
    const nested = objects(offers).map((one) => ({ ...offer, ...one }));
    return nested.length > 0 ? offersOf(nested, depth + 1) : [toOffer(offer)];
  });
}

function toOffer(offer: Json): Offer {
  const specification = specificationOf(offer['priceSpecification']);
  const [level = {}] = objects(offer['inventoryLevel']);
  return {
    price: data(text(offer['price']) ?? text(offer['lowPrice']) ?? text(specification['price'])),
    currency: text(offer['priceCurrency']) ?? text(specification['priceCurrency']),
    stock: text(level['value']),
    availability: text(offer['availability']),
    url: text(offer['url']),
    isSpecial:
      offer['eligibleQuantity'] !== undefined ||
      offer['validForMemberTier'] !== undefined ||
      /(?:Used|Refurbished|Damaged)Condition$/u.test(text(offer['itemCondition']) ?? ''),
  };
}

/** What is to be paid, not what it cost before, costs elsewhere or costs by the kilogram. */
function specificationOf(value: unknown): Json {
  const all = objects(value);
  const priceTypes = /(?:List|Strikethrough|Regular|Invoice|MinimumAdvertised|SRP|MSRP)(?:Price)?$/u;
  let left = prefer(all, (one) => !hasType(one, 'DeliveryChargeSpecification', 'PaymentChargeSpecification'));
  left = prefer(left, (one) => one['validForMemberTier'] === undefined);
  left = prefer(left, ({ priceType }) => !priceTypes.test(text(priceType) ?? ''));
  left = prefer(left, (one) => one['referenceQuantity'] === undefined);
  return left[0] ?? {};
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
function objects(value: unknown): Json[] {
  return (Array.isArray(value) ? (value as unknown[]) : [value]).filter(isObject);
}
function data(written: string | undefined): RawPrice | undefined {
  return written === undefined ? undefined : { text: written, isData: true };
}
/** Without the character references that JSON has no need of, and many shops write all the same. */
function text(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.trim() !== '' ? decodeReferences(value) : undefined;
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
