// Price and stock as shops write them ("£51.77", "1.234,56 €", "In stock (22 available)") to numbers.
// Pure; never guesses a price that is not there.

export interface Price {
  readonly amount: number;
  /** ISO 4217, undefined when the text names none. */
  readonly currency: string | undefined;
}

const symbols: readonly (readonly [string, string])[] = [
  // Longer ones first: "A$" is not "$".
  ['US$', 'USD'],
  ['A$', 'AUD'],
  ['C$', 'CAD'],
  ['R$', 'BRL'],
  ['£', 'GBP'],
  ['€', 'EUR'],
  ['$', 'USD'],
  ['¥', 'JPY'],
  ['₹', 'INR'],
  ['₽', 'RUB'],
  ['₩', 'KRW'],
  ['zł', 'PLN'],
  ['Kč', 'CZK'],
  ['₺', 'TRY'],
  ['₴', 'UAH'],
];

/**
 * The first amount in a text. The last of two different separators is the decimal one; a lone separator
 * before exactly three digits groups thousands ("1,299"), unless a zero stands before it ("0.125").
 * @returns undefined for no number, or a negative one.
 */
export function parsePrice(text: string): Price | undefined {
  const match = /(?<sign>[-−]\s*\p{Sc}?\s*)?(?<number>\d[\d.,'’\s\u00a0\u202f]*)/u.exec(text);
  if (!match?.groups) return undefined;
  const before = text.slice(0, match.index).trimEnd();
  // A dash glued to the amount is a sign; "Sale - £5" and "10-20" are not.
  if (match.groups['sign'] !== undefined && (before === '' || /\p{Sc}$/u.test(before))) return undefined;
  const amount = toNumber((match.groups['number'] as string).replace(/[\s.,'’\u00a0\u202f]+$/u, ''));
  return amount === undefined ? undefined : { amount, currency: currencyIn(text) };
}

function toNumber(written: string): number | undefined {
  const compact = written.replace(/['’\u00a0\u202f]/gu, '').replace(/\s(?=\d{3}(?!\d))/gu, '');
  const number = /^\d[\d.,]*/u.exec(compact)?.[0].replace(/[.,]+$/u, '') ?? '';
  const separators = [...number.matchAll(/[.,]/gu)];
  const last = separators.at(-1);
  let plain = number;
  if (last) {
    const decimals = number.length - last.index - 1;
    const kinds = new Set(separators.map(([separator]) => separator)).size;
    const isDecimal =
      kinds === 2 ||
      (separators.length === 1 && (decimals !== 3 || /^0[.,]/u.test(number) || last.index > 3));
    plain = isDecimal
      ? `${number.slice(0, last.index).replace(/[.,]/gu, '')}.${number.slice(last.index + 1)}`
      : number.replace(/[.,]/gu, '');
  }
  const value = Number(plain);
  return Number.isFinite(value) && plain !== '' ? Math.round(value * 10_000) / 10_000 : undefined;
}

function currencyIn(text: string): string | undefined {
  const symbol = symbols.find(([sign]) => text.includes(sign))?.[1];
  return symbol ?? /(?<![\p{L}])(?<code>[A-Z]{3})(?![\p{L}])/u.exec(text)?.groups?.['code'];
}

export interface Stock {
  readonly inStock: boolean;
  readonly stock: number | null;
}

const outOfStock =
  /out\s*of\s*stock|sold\s*out|not available|unavailable|not in stock|discontinued|back\s*order|pre\s*order|ausverkauft|nicht (?:auf lager|verf(?:ü|ue)gbar|lieferbar)|épuisé|rupture|agotado|esaurito/iu;

/** Words or a schema.org URL ("https://schema.org/OutOfStock"); no text at all counts as in stock. */
export function parseStock(text: string | undefined): Stock {
  if (text === undefined || text.trim() === '') return { inStock: true, stock: null };
  const digits = /\d{1,9}/u.exec(text)?.[0];
  const stock = digits === undefined || /schema\.org/iu.test(text) ? null : Number(digits);
  return { inStock: !outOfStock.test(text) && stock !== 0, stock };
}
