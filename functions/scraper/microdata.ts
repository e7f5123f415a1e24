// Products in a page's microdata (itemscope, itemprop). Follows the HTML standard's value rules, and reads a
// `content` attribute wherever shops put one. Pure.
import { textContent } from 'domutils';
import { chooseOffer, type Offer } from './choose-offer.ts';
import { queryAll, type PageDocument, type PageElement } from './page-tree.ts';
import { priceText } from './price-text.ts';
import type { RawItem, RawPrice } from './raw-item.ts';

type Properties = ReadonlyMap<string, readonly PageElement[]>;

export function readMicrodata(document: PageDocument): RawItem[] {
  return queryAll('[itemscope][itemtype*="schema.org/Product"]', document).map((scope) => {
    const product = properties(scope);
    const { url, ...offer } = chooseOffer(offersOf(product));
    const read = (name: string) => valueOf(product.get(name)?.[0]);
    return {
      sku: read('sku') ?? read('productID') ?? read('mpn') ?? read('gtin13'),
      title: read('name'),
      url: read('url') ?? url,
      image: read('image'),
      ...offer,
    };
  });
}

/** Those of the product, those of its AggregateOffer, or its own properties where it has none. */
function offersOf(within: Properties, outer?: Properties): Offer[] {
  const scopes = (within.get('offers') ?? []).filter(({ attribs }) => 'itemscope' in attribs);
  if (scopes.length > 0) return scopes.flatMap((scope) => offersOf(properties(scope), within));
  const first = (name: string) => (within.get(name) ?? outer?.get(name))?.[0];
  return [
    {
      price: priceOf(first('price') ?? first('lowPrice')),
      currency: valueOf(first('priceCurrency')),
      stock: valueOf(first('inventoryLevel')),
      availability: valueOf(first('availability')),
      url: valueOf(within.get('url')?.[0]),
    },
  ];
}

/** All elements of each property; what belongs to a nested item is that item's. */
function properties(scope: PageElement): Properties {
  const found = new Map<string, PageElement[]>();
  const collect = ({ children }: PageElement): void => {
    for (const child of children) {
      if (!('attribs' in child)) continue;
      for (const name of (child.attribs['itemprop'] ?? '').split(/\s+/u).filter(Boolean)) {
        const named = found.get(name);
        if (named) named.push(child);
        else found.set(name, [child]);
      }
      if (!('itemscope' in child.attribs)) collect(child);
    }
  };
  collect(scope);
  return found;
}

function priceOf(element: PageElement | undefined): RawPrice | undefined {
  const data = element && attributeOf(element);
  const text = data ?? (element && priceText(element));
  return text === undefined || text.trim() === '' ? undefined : { text, isData: data !== undefined };
}
function valueOf(element: PageElement | undefined): string | undefined {
  const value = element && (attributeOf(element) ?? textContent(element)).trim();
  return value === '' ? undefined : value;
}
/** Undefined where the value is the text. */
function attributeOf({ name, attribs }: PageElement): string | undefined {
  const attribute = { a: 'href', link: 'href', img: 'src', data: 'value', meter: 'value', time: 'datetime' }[
    name
  ];
  return attribs['content'] ?? (attribute === undefined ? undefined : (attribs[attribute] ?? ''));
}
