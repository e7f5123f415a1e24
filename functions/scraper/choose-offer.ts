// One offer of those a page has for a product: of what anybody can buy new and now, the cheapest. Pure.
import { parseStock } from './parse-stock.ts';
import { readPrice } from './parse-price.ts';
import { prefer } from './prefer.ts';
import type { RawItem } from './raw-item.ts';

export interface Offer extends Pick<RawItem, 'price' | 'currency' | 'stock' | 'availability' | 'url'> {
  /** Not new, for members, or for a number of them. */
  readonly isSpecial?: boolean;
}

export function chooseOffer(offers: readonly Offer[]): Offer {
  let left = prefer(offers, ({ isSpecial }) => isSpecial !== true);
  left = prefer(left, ({ availability, stock }) => parseStock(availability ?? stock).inStock);
  const priced = left.flatMap((offer) => {
    const amount = offer.price && readPrice(offer.price, null)?.amount;
    return amount === undefined || amount === null ? [] : [{ offer, amount }];
  });
  // Amounts of two currencies do not compare.
  const comparable = priced.filter(({ offer }) => offer.currency === priced[0]?.offer.currency);
  const cheapest = comparable.toSorted((a, b) => a.amount - b.amount)[0]?.offer;
  return cheapest ?? left[0] ?? {};
}
