// Price and stock as shops write them ("£51.77", "1.234,56 €", "In stock (22 available)") to numbers.
// Pure; never guesses a price that is not there. Each text is shortened before a pattern sees it: what a shop writes does
// not decide how long that takes.

export interface Price {
  readonly amount: number;
  /** ISO 4217, undefined when the text names none. */
  readonly currency: string | undefined;
}

const signs: Readonly<Record<string, string>> = {
  '£': 'GBP',
  '€': 'EUR',
  $: 'USD',
  '¥': 'JPY',
  '₹': 'INR',
  '₽': 'RUB',
  '₩': 'KRW',
  zł: 'PLN',
  Kč: 'CZK',
  '₺': 'TRY',
  '₴': 'UAH',
};
/** What stands before a "$": any other letters there make it a dollar that is not known. */
const dollars: Readonly<Record<string, string>> = {
  US: 'USD',
  A: 'AUD',
  AU: 'AUD',
  C: 'CAD',
  CA: 'CAD',
  CDN: 'CAD',
  NZ: 'NZD',
  HK: 'HKD',
  S: 'SGD',
  SG: 'SGD',
  NT: 'TWD',
  MX: 'MXN',
  R: 'BRL',
};
/** Whose shops write a bare sign that others share. */
const shared: Readonly<Record<string, readonly string[]>> = {
  $: 'USD AUD CAD NZD HKD SGD TWD MXN ARS CLP COP UYU DOP TTD JMD BSD BBD BZD FJD XCD'.split(' '),
  '¥': ['JPY', 'CNY'],
};
const codes: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));
// "US $5" is one mark; a single letter counts only where it touches the sign, since "Plan A $5" is no Australian price.
const mark =
  /(?<![\p{L}])(?:(?<letter>\p{Lu})|(?<letters>\p{Lu}{2,3})\s?)\$|(?<sign>[£€$¥₹₽₩₺₴]|zł|Kč)|(?<![\p{L}])(?<code>[A-Z]{3})(?![\p{L}])/gu;

const lengthMax = 200;
const collapsed = (text: string): string => text.trim().replace(/\s{2,}/gu, ' ');
/** Without a number at the cut, which may go on behind it. */
function cut(text: string): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax).replace(/[\d.,'’\s]+$/u, '')}…`;
}

/**
 * The first amount in the first 200 characters of a text, spaces counting as one. The last of two different separators is the decimal one; a lone separator
 * before exactly three digits groups thousands ("1,299"), unless a zero stands before it ("0.125").
 * @param home The source's currency: what a bare "$" means there, where that is one of the dollars.
 * @returns undefined for no number, or a negative one.
 */
export function parsePrice(written: string, home: string | null = null): Price | undefined {
  const text = cut(collapsed(written));
  const match = /(?<sign>[-−]\s*\p{Sc}?\s*)?(?<number>\d[\d.,'’\s\u00a0\u202f]*)/u.exec(text);
  if (!match?.groups) return undefined;
  const before = text.slice(0, match.index).trimEnd();
  // A dash glued to the amount is a sign; "Sale - £5" and "10-20" are not.
  if (match.groups['sign'] !== undefined && (before === '' || /\p{Sc}$/u.test(before))) return undefined;
  const number = (match.groups['number'] as string).replace(/[\s.,'’\u00a0\u202f]+$/u, '');
  const amount = toNumber(number);
  if (amount === undefined) return undefined;
  const end = match.index + match[0].length - (match.groups['number'] as string).length + number.length;
  return { amount, currency: currencyIn(text, { start: match.index, end }, home) };
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

/** The mark that touches the amount, else the first one: "€10 (US$ 11)" are euros. */
function currencyIn(
  text: string,
  amount: { start: number; end: number },
  home: string | null,
): string | undefined {
  const marks = [...text.matchAll(mark)].filter(
    ({ groups }) => groups?.['code'] === undefined || codes.has(groups['code']),
  );
  const isBetween = (from: number, to: number) => from <= to && /^[\s.]*$/u.test(text.slice(from, to));
  const nearest =
    marks.find((one) => isBetween(one.index + one[0].length, amount.start)) ??
    marks.find((one) => isBetween(amount.end, one.index)) ??
    marks[0];
  const { letter, letters = letter, sign, code } = nearest?.groups ?? {};
  if (letters !== undefined) return dollars[letters] ?? (codes.has(letters) ? letters : undefined);
  if (sign === undefined) return code;
  return home !== null && shared[sign]?.includes(home) === true ? home : signs[sign];
}

export interface Stock {
  readonly inStock: boolean;
  readonly stock: number | null;
}

const outOfStock =
  /out\s*of\s*stock|sold\s*out|not available|unavailable|not in stock|discontinued|back\s*order|pre\s*order|ausverkauft|nicht (?:auf lager|verf(?:ü|ue)gbar|lieferbar)|épuisé|rupture|agotado|esaurito/iu;

// A number is a stock only beside a word for it: "In stock, delivery in 0-1 days" and "Lieferzeit 2-3 Tage" name none.
const count = String.raw`(?<count>\d{1,3}(?:[.,\u00a0\u202f]\d{3})+|\d{1,9})`;
const unit = String.raw`(?:items?|units?|pieces?|pcs|copies|articles?|Stk|Stück|Exemplare?|pi(?:è|e)ces|unidades|pezzi|stuks)`;
const stockWord = String.raw`(?:in\s*stock|available|left|remaining|auf\s*Lager|vorr(?:ä|ae)tig|verf(?:ü|ue)gbar|lieferbar|en\s*stock|disponibles?|disponibil[ei]|restants?|op\s*voorraad|i\s*lager|på\s*lager)`;
const stockCounts = [
  String.raw`^\s*[>+]?\s*${count}(?:\.0+)?\s*\+?\s*(?:${unit}\.?)?\s*$`,
  String.raw`(?<![\d.,–—-])${count}\s*\+?[\s(]*(?:${unit}\.?\s*)?${stockWord}(?!\p{L})`,
  // Nothing but its unit may follow: "In stock 2 days" and "Available 3 May" are times.
  String.raw`(?<!\p{L})(?:${stockWord}|stock|inventory|quantity|qty|(?:Lager)?bestand|Vorrat|noch)[\s.:=(]*${count}\s*\+?\s*(?:${unit}\.?\s*)?(?=$|[);|]|[.,](?!\d))`,
].map((pattern) => new RegExp(pattern, 'iu'));

/** Words or a schema.org URL ("https://schema.org/OutOfStock"); no text at all counts as in stock. */
export function parseStock(written: string | undefined): Stock {
  const text = collapsed(written ?? '');
  if (text === '') return { inStock: true, stock: null };
  const counted = /schema\.org/iu.test(text)
    ? undefined
    : stockCounts
        .map((pattern) => pattern.exec(cut(text))?.groups?.['count'])
        .find((found) => found !== undefined);
  const stock = counted === undefined ? null : Number(counted.replace(/\D/gu, ''));
  return { inStock: !outOfStock.test(text) && stock !== 0, stock };
}
