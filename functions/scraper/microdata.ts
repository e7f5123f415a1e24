// Products in a page's microdata (itemscope, itemprop). Follows the HTML standard's value rules, and reads a
// `content` attribute wherever shops put one. Pure.
import { textContent } from 'domutils';
import { queryAll, type PageDocument, type PageElement } from './page-tree.ts';
import type { RawItem } from './raw-item.ts';

export function readMicrodata(document: PageDocument): RawItem[] {
  return queryAll('[itemscope][itemtype*="schema.org/Product"]', document).map((scope) => {
    const product = properties(scope);
    const offerScope = product.get('offers');
    const offer = offerScope && 'itemscope' in offerScope.attribs ? properties(offerScope) : product;
    const read = (name: string, from = product) => valueOf(from.get(name));
    return {
      sku: read('sku') ?? read('productID') ?? read('mpn') ?? read('gtin13'),
      title: read('name'),
      url: read('url') ?? read('url', offer),
      image: read('image'),
      price: read('price', offer) ?? read('lowPrice', offer),
      currency: read('priceCurrency', offer),
      stock: read('inventoryLevel', offer),
      availability: read('availability', offer),
    };
  });
}

/** First element per property; what belongs to a nested item is that item's. */
function properties(scope: PageElement): Map<string, PageElement> {
  const found = new Map<string, PageElement>();
  const open = scope.children.toReversed();
  for (let node = open.pop(); node; node = open.pop()) {
    if (!('attribs' in node)) continue;
    const element: PageElement = node;
    for (const name of (element.attribs['itemprop'] ?? '').split(/\s+/u).filter(Boolean))
      if (!found.has(name)) found.set(name, element);
    if (!('itemscope' in element.attribs)) open.push(...element.children.toReversed());
  }
  return found;
}

function valueOf(element: PageElement | undefined): string | undefined {
  if (!element) return undefined;
  const { attribs } = element;
  const attribute = { a: 'href', link: 'href', img: 'src', data: 'value', meter: 'value', time: 'datetime' }[
    element.name
  ];
  const value =
    attribs['content'] ?? (attribute === undefined ? textContent(element) : (attribs[attribute] ?? ''));
  return value.trim() === '' ? undefined : value.trim();
}
