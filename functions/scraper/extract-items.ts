// What a page says: its items (from JSON-LD, microdata, OpenGraph or the source's selectors, in this order),
// its next page and the product pages it links to. Pure: same HTML in, same answer out. Fetches nothing.
import { getElementsByTagName, textContent } from 'domutils';
import { itemContentSchema, type ItemContent } from '../../contracts/item.ts';
import { splitSelector } from '../../contracts/selectors.ts';
import type { ShopSource } from '../../contracts/source.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import { readJsonLd } from './json-ld.ts';
import { readMicrodata } from './microdata.ts';
import {
  parsePage,
  query,
  queryAll,
  textsOf,
  type PageDocument,
  type PageElement,
  type PageNode,
} from './page-tree.ts';
import { parseCurrency, readPrice } from './parse-price.ts';
import { parseStock } from './parse-stock.ts';
import { priceText } from './price-text.ts';
import type { RawItem, RawPrice } from './raw-item.ts';

/** To be raised with each change of what is read from a page: pages that did not change since are read anew then. */
export const extractionVersion = 1;

export interface Extracted {
  readonly items: readonly ItemContent[];
  /** What could not be read, in words: broken JSON-LD, an item that breaks its schema. The rest of the page still is. */
  readonly problems: readonly string[];
  /** Absolute URL of the next page of a listing. */
  readonly next: string | null;
  /** Absolute URLs of product pages (JSON-LD ItemList, teasers without a price selector) or of a sitemap's pages. */
  readonly links: readonly string[];
  /** What the page holds beyond what is read of it: what is not seen behind it has not vanished. */
  readonly cut: string | null;
  /** What the source has a selector for, and no item of the page a value: the shop looks different now, or sells at no price. */
  readonly unanswered: readonly Answerable[];
}
/** An item may well be without any other value. */
export type Answerable = 'sku' | 'price';

const linksMax = 5_000;
const sitemapLinksMax = 50_000; // What sitemaps.org allows.
const linksLengthMax = 5 * 1024 * 1024; // As long as a page may be; relative links could make it many times that.
const itemsMax = 5_000; // Ten times the largest listings; selectors cost about 0.1 ms an item.
const problemsMax = 20;

export function extractItems({
  html,
  url,
  source,
}: {
  html: string;
  /** Where the page was read from, after redirects. */
  url: string;
  source: Pick<ShopSource, 'currency' | 'selectors'>;
}): Extracted {
  if (isSitemap(html)) return readSitemap(html, url);
  const document = parsePage(html);
  const base = baseUrl(document, url);
  const jsonLd = readJsonLd(document);
  const problems = [...jsonLd.problems];
  const links = [...jsonLd.links];
  let unanswered: readonly Answerable[] = [];

  let raw: readonly RawItem[] = jsonLd.items;
  if (raw.length === 0) raw = readMicrodata(document);
  if (raw.length === 0) raw = readOpenGraph(document);
  // Were the key another one than that in the broken script, the item would be there twice while that is broken.
  if (jsonLd.hidesProduct && raw !== jsonLd.items) raw = raw.filter(({ sku }) => sku !== undefined);
  if (raw.length === 0 && source.selectors) {
    const selected = readSelected(document, source.selectors);
    problems.push(...selected.problems);
    // A source that names no price on its listing means: the items stand on the pages behind the links.
    if (source.selectors.url !== undefined && source.selectors.price === undefined)
      links.push(...selected.items.flatMap((item) => item.url ?? []));
    else ({ items: raw, unanswered } = selected);
  }

  const tooMany =
    raw.length > itemsMax ? `more than ${itemsMax} items on one page; the rest is not read` : null;
  if (tooMany !== null) problems.unshift(tooMany);
  const items = new Map<string, ItemContent>();
  for (const [index, item] of raw.slice(0, itemsMax).entries()) {
    const read = toContent(item, { base, page: url, alone: raw.length === 1, currency: source.currency });
    if (typeof read === 'string') problems.push(`item ${index + 1}: ${read}`);
    else if (!items.has(read.sku)) items.set(read.sku, read);
  }
  const led = distinct(
    links.flatMap((link) => absolute(link, base) ?? []),
    linksMax,
  );
  if (led.cut !== null) problems.unshift(led.cut);
  return {
    items: [...items.values()],
    problems: problems.slice(0, problemsMax),
    next: nextPage(document, source, base),
    links: led.links,
    cut: tooMany ?? led.cut,
    unanswered,
  };
}

function toContent(
  item: RawItem,
  context: { base: string; page: string; alone: boolean; currency: string | null },
): ItemContent | string {
  const url = absolute(item.url, context.base) ?? (context.alone ? withoutFragment(context.page) : null);
  const title = collapse(item.title);
  const stated = currencyOf(item.currency, context.currency);
  const price = item.price && readPrice(item.price, stated ?? context.currency);
  if (item.price && !price)
    return `${title ?? 'untitled'}: price "${item.price.text.slice(0, 60)}" is not an amount`;
  const amount = price?.amount ?? null;
  const { inStock, stock } = parseStock(item.stock);
  const available = item.availability === undefined ? inStock : parseStock(item.availability).inStock;
  const result = itemContentSchema.safeParse({
    sku: collapse(item.sku) ?? (url === null ? title : skuFromUrl(url)),
    title,
    url,
    imageUrl: absolute(item.image, context.base) ?? null,
    price: amount,
    currency: amount === null ? null : (stated ?? price?.currency ?? context.currency),
    inStock: available && stock !== 0,
    stock,
  });
  if (result.success) return result.data;
  return `${title ?? 'untitled'}: ${describeIssues(issuesOf(result.error))}`;
}

/** As a code, or as shops write it. */
function currencyOf(stated: string | undefined, home: string | null): string | undefined {
  return stated !== undefined && /^[A-Z]{3}$/u.test(stated.trim())
    ? stated.trim()
    : parseCurrency(stated ?? '', home);
}

/** Path and query: the same for every host name and protocol of a shop. */
function skuFromUrl(url: string): string {
  const { pathname, search } = new URL(url);
  return `${pathname}${search}`.slice(0, 200);
}

function readOpenGraph(document: PageDocument): RawItem[] {
  const properties = new Map<string, string>();
  for (const meta of getElementsByTagName('meta', document)) {
    const name = meta.attribs['property'] ?? meta.attribs['name'];
    const content = meta.attribs['content'];
    if (name !== undefined && content !== undefined && !properties.has(name)) properties.set(name, content);
  }
  const price =
    properties.get('product:sale_price:amount') ??
    properties.get('product:price:amount') ??
    properties.get('og:price:amount');
  const type = properties.get('og:type') ?? '';
  if (price === undefined && !/^product(?:\.item)?$/u.test(type)) return [];
  return [
    {
      sku: properties.get('product:retailer_item_id'),
      title: properties.get('og:title'),
      url: properties.get('og:url'),
      image: properties.get('og:image'),
      price: rawPrice(price, true),
      currency: properties.get('product:price:currency') ?? properties.get('og:price:currency'),
      availability: properties.get('product:availability') ?? properties.get('og:availability'),
    },
  ];
}

type Selectors = NonNullable<ShopSource['selectors']>;

function readSelected(
  document: PageDocument,
  selectors: Selectors,
): { items: RawItem[]; problems: string[]; unanswered: Answerable[] } {
  try {
    const items = queryAll(selectors.item, document)
      .slice(0, itemsMax + 1)
      .map((element) => {
        const read = (selector: string | undefined) => readSelector(element, selector);
        return {
          sku: read(selectors.sku),
          title: read(selectors.title),
          price: rawPrice(
            readSelector(element, selectors.price, priceText),
            splitSelector(selectors.price ?? '').attribute !== undefined,
          ),
          stock: read(selectors.stock),
          url: read(selectors.url),
          image: read(selectors.image),
        };
      });
    const unanswered = (['sku', 'price'] as const).filter(
      (name) =>
        items.length > 0 &&
        selectors[name] !== undefined &&
        items.every((item) => !(name === 'price' ? item.price?.text : item.sku)?.trim()),
    );
    return { items, problems: [], unanswered };
  } catch (error) {
    const problems = [`a selector of the source is wrong: ${(error as Error).message}`];
    return { items: [], problems, unanswered: [] };
  }
}

/** `h3 a@title` reads an attribute, `h3 a` the text, `@data-sku` an attribute of the item itself. */
function readSelector(
  within: PageElement | PageDocument,
  selector: string | undefined,
  textOf: (element: PageNode) => string = textContent,
): string | undefined {
  if (selector === undefined) return undefined;
  const { css, attribute } = splitSelector(selector);
  const element: PageNode | null = css === '' ? within : query(css, within);
  if (!element) return undefined;
  if (attribute === undefined) return textOf(element);
  return 'attribs' in element ? element.attribs[attribute] : undefined;
}

export function unansweredWords(name: Answerable, { selectors }: Pick<ShopSource, 'selectors'>): string {
  return `no item answers the selector of its ${name}, "${selectors?.[name]}"`;
}

function rawPrice(text: string | undefined, isData: boolean): RawPrice | undefined {
  return text === undefined || text.trim() === '' ? undefined : { text, isData };
}

function nextPage(
  document: PageDocument,
  source: Pick<ShopSource, 'selectors'>,
  base: string,
): string | null {
  const configured = source.selectors?.next;
  let written: string | undefined;
  if (configured !== undefined) {
    try {
      written = readSelector(document, configured.includes('@') ? configured : `${configured}@href`);
    } catch {
      written = undefined; // The wrong selector is reported where the items are read.
    }
  }
  if (written === undefined) {
    written = query('link[rel~=next], a[rel~=next]', document)?.attribs['href'];
  }
  return absolute(written, base) ?? null;
}

/** A comment ends at its first `-->`: were it also allowed to go on behind it, forty of them would take days. */
function isSitemap(text: string): boolean {
  return /^\s*(?:(?:<\?[^>]*>|<!--(?:(?!-->)[\s\S])*-->)\s*)*<(?:urlset|sitemapindex)[\s>]/u.test(
    text.slice(0, 4_000),
  );
}

/** https://www.sitemaps.org/protocol.html; an index leads to further sitemaps. */
function readSitemap(xml: string, url: string): Extracted {
  const { links, cut } = distinct(
    textsOf(xml, 'loc').flatMap((location) => absolute(location, url) ?? []),
    sitemapLinksMax,
  );
  return { items: [], problems: cut === null ? [] : [cut], next: null, links, cut, unanswered: [] };
}

function baseUrl(document: PageDocument, url: string): string {
  return absolute(query('base[href]', document)?.attribs['href'], url) ?? url;
}

function absolute(written: string | undefined, base: string): string | undefined {
  if (written === undefined || written.trim() === '') return undefined;
  const url = URL.parse(written.trim(), base);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  return withoutFragment(url.href);
}
function withoutFragment(url: string): string {
  const parsed = new URL(url);
  parsed.hash = '';
  return parsed.href;
}
function collapse(text: string | undefined): string | undefined {
  const collapsed = text?.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  return collapsed === '' ? undefined : collapsed;
}
function distinct(links: readonly string[], max: number): { links: string[]; cut: string | null } {
  const all = [...new Set(links)];
  let length = 0;
  const fitting = all.slice(0, max);
  const end = fitting.findIndex((link) => (length += link.length) > linksLengthMax);
  const kept = end === -1 ? fitting : fitting.slice(0, end);
  const cut =
    kept.length < all.length ? `more than ${kept.length} links on one page; the rest is not read` : null;
  return { links: kept, cut };
}
