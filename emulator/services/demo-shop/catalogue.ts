// The demo shop's catalogue as a function of its seed and the number of ticks: which products there are, what
// they cost now, which are sold out or gone for a while. Pure, so that a test can say what the shop must show.

export type Markup = 'json-ld' | 'microdata' | 'plain';
export interface Category {
  readonly slug: string;
  readonly name: string;
  readonly markup: Markup;
  readonly productNames: readonly string[];
}
export interface Product {
  readonly sku: string;
  readonly name: string;
  readonly category: string;
  /** Minor units (pence). */
  readonly price: number;
  readonly stock: number;
  /** False while the product is away: it comes back. */
  readonly listed: boolean;
  readonly hue: number;
}

export const currency = 'GBP';
export const categories: readonly Category[] = [
  {
    slug: 'lamps',
    name: 'Lamps',
    markup: 'json-ld',
    productNames: ['Arc', 'Beacon', 'Candela', 'Dusk', 'Ember', 'Flare', 'Glow', 'Halo', 'Iris', 'Jupiter'],
  },
  {
    slug: 'chairs',
    name: 'Chairs',
    markup: 'json-ld',
    productNames: ['Alder', 'Birch', 'Cedar', 'Dogwood', 'Elm', 'Fir', 'Ginkgo', 'Hazel', 'Ivy', 'Juniper'],
  },
  {
    slug: 'cups',
    name: 'Cups',
    markup: 'microdata',
    productNames: [
      'Amber',
      'Basalt',
      'Chalk',
      'Dune',
      'Earth',
      'Fjord',
      'Granite',
      'Heath',
      'Indigo',
      'Jade',
    ],
  },
  {
    slug: 'clocks',
    name: 'Clocks',
    markup: 'microdata',
    productNames: [
      'Altair',
      'Bellatrix',
      'Capella',
      'Deneb',
      'Electra',
      'Fomal',
      'Gemma',
      'Hadar',
      'Izar',
      'Jabbah',
    ],
  },
  {
    slug: 'books',
    name: 'Books',
    markup: 'plain',
    productNames: [
      'A Quiet Harbour',
      'Born by Water',
      'Café Ünter',
      'Dust & Honey',
      'East of Nothing',
      'Four Winters',
      'Green Thread',
      'Half a Map',
      'Inkwell',
      'July, Again',
    ],
  },
  {
    slug: 'plants',
    name: 'Plants',
    markup: 'plain',
    productNames: [
      'Aloe',
      'Begonia',
      'Calathea',
      'Dracaena',
      'Echeveria',
      'Fern',
      'Gasteria',
      'Hoya',
      'Ixora',
      'Jasmine',
    ],
  },
];

export interface ShopState {
  readonly tick: number;
  /** The products by sku, in the order of the categories. */
  readonly products: ReadonlyMap<string, Product>;
}

const awayTicksMax = 12;

/**
 * The shop after `ticks` ticks. Every third tick a price drops by 5 to 30 %, otherwise one moves by up to 8 %
 * either way, within half and double of where it began; every fifth tick a stock changes; every seventh a
 * product leaves for up to 12 ticks. `overrides` are prices set by hand: they stay.
 */
export function createCatalogue(seed: number): {
  readonly state: () => ShopState;
  readonly tick: () => void;
  readonly setPrice: (sku: string, price: number) => Product | undefined;
  readonly setListed: (sku: string, listed: boolean) => Product | undefined;
} {
  const random = createRandom(seed);
  const products = new Map<string, Product>();
  for (const category of categories)
    for (const [index, productName] of category.productNames.entries()) {
      const sku = `${category.slug.slice(0, 3).toUpperCase()}-${String(index + 1).padStart(3, '0')}`;
      products.set(sku, {
        sku,
        name:
          category.slug === 'books'
            ? productName
            : `${productName} ${category.name.replace(/s$/u, '').toLowerCase()}`,
        category: category.slug,
        price: 500 + Math.floor(random() * 195) * 100 + 99,
        stock: 1 + Math.floor(random() * 40),
        listed: true,
        hue: Math.floor(random() * 360),
      });
    }
  const skus = [...products.keys()];
  const first = new Map([...products].map(([sku, { price }]) => [sku, price]));
  const backAt = new Map<string, number>();
  const fixed = new Set<string>();
  let now = 0;

  const pick = () => products.get(skus[Math.floor(random() * skus.length)] as string) as Product;
  const change = (product: Product, to: Partial<Product>): Product => {
    const changed = { ...product, ...to };
    products.set(product.sku, changed);
    return changed;
  };

  function tick(): void {
    now++;
    for (const [sku, at] of backAt)
      if (at <= now) {
        backAt.delete(sku);
        change(products.get(sku) as Product, { listed: true });
      }
    const priced = pick();
    const share = now % 3 === 0 ? -(0.05 + random() * 0.25) : (random() - 0.5) * 0.16;
    if (!fixed.has(priced.sku)) {
      const start = first.get(priced.sku) as number;
      const price = Math.round(priced.price * (1 + share));
      change(priced, { price: Math.min(Math.max(price, Math.round(start / 2)), start * 2) });
    }
    const stocked = pick();
    if (now % 5 === 0) change(stocked, { stock: Math.floor(random() * 6) });
    const leaving = pick();
    if (now % 7 === 0 && leaving.listed && !fixed.has(leaving.sku)) {
      change(leaving, { listed: false });
      backAt.set(leaving.sku, now + 2 + Math.floor(random() * awayTicksMax));
    }
  }

  function byHand(sku: string, to: Partial<Product>): Product | undefined {
    const product = products.get(sku);
    if (!product) return undefined;
    fixed.add(sku);
    backAt.delete(sku);
    return change(product, to);
  }
  return {
    state: () => ({ tick: now, products: new Map(products) }),
    tick,
    setPrice: (sku, price) => byHand(sku, { price }),
    setListed: (sku, listed) => byHand(sku, { listed }),
  };
}

/** mulberry32: 32 bits of state, the same numbers everywhere. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
