// Prices as shops write them ("£51.77", "1.234,56 €", "statt 99 € nur 79 €") to numbers. Pure; never guesses a price that is not
// there. Each text is shortened before a pattern sees it: what a shop writes does not decide how long that takes.
import { prefer } from './prefer.ts';
import type { RawPrice } from './raw-item.ts';

export interface Price {
  /** Null when the shop names the price on request only. */
  readonly amount: number | null;
  /** ISO 4217, undefined when the text names none. */
  readonly currency: string | undefined;
}

const signs: Readonly<Record<string, string>> = {
  '£': 'GBP',
  '€': 'EUR',
  $: 'USD',
  '¥': 'JPY',
  '￥': 'JPY',
  '₹': 'INR',
  '₽': 'RUB',
  '₩': 'KRW',
  '₺': 'TRY',
  '₴': 'UAH',
  '₪': 'ILS',
  '฿': 'THB',
  '₫': 'VND',
  '₱': 'PHP',
  '₦': 'NGN',
  '₸': 'KZT',
};
/** Names and abbreviations, in any case; `kr` is that of four countries. */
const words: Readonly<Record<string, string | undefined>> = {
  zł: 'PLN',
  kč: 'CZK',
  ft: 'HUF',
  lei: 'RON',
  eur: 'EUR',
  euro: 'EUR',
  euros: 'EUR',
  sfr: 'CHF',
  tl: 'TRY',
  rs: 'INR',
  rp: 'IDR',
  rm: 'MYR',
  руб: 'RUB',
  р: 'RUB',
  грн: 'UAH',
  лв: 'BGN',
  円: 'JPY',
  元: 'CNY',
  kr: undefined,
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
  '￥': ['JPY', 'CNY'],
  kr: ['SEK', 'NOK', 'DKK', 'ISK'],
  rs: ['INR', 'PKR', 'LKR', 'NPR', 'MUR'],
};
const codes: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));
const withThreeDecimals: ReadonlySet<string> = new Set(['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND']);

const spellings = Object.keys(words).flatMap((word) => [
  word,
  word.charAt(0).toUpperCase() + word.slice(1),
  word.toUpperCase(),
]);
// "US $5" is one mark; a single letter counts only where it touches the sign, since "Plan A $5" is no Australian price.
const markPattern = new RegExp(
  [
    String.raw`(?<!\p{L})(?:(?<letter>\p{Lu})|(?<letters>\p{Lu}{2,3})\s?)\$`,
    String.raw`(?<sign>\p{Sc})`,
    String.raw`(?<!\p{L})(?<word>${[...new Set(spellings)].join('|')})(?!\p{L})`,
    String.raw`(?<!\p{L})(?<code>[A-Z]{3})(?!\p{L})`,
  ].join('|'),
  'gu',
);
// A space groups thousands only before exactly three digits.
const numberPattern = /\d{1,3}(?:\s\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,'’]\d+)*/gu;

const measure = String.raw`(?:\d+\s*)?(?:[km]?g|[mcd]?l|[mc]?m[²³]?|lb|oz|Kilo(?:gram+e?)?|Liter|litre)(?!\p{L})`;
const perMeasureAfter = new RegExp(String.raw`^\s*(?:\/|per|pro|je|par|por|al)\s*${measure}`, 'iu');
const perMeasureBefore = new RegExp(String.raw`${measure}\s*=\s*$`, 'iu');
const formerBefore =
  /(?<!\p{L})(?:was|war|statt|bisher|vorher|UVP|RRP|MSRP|instead of|(?:list|regular|original) price|au lieu de|antes|invece di|zamiast)[\s:.]*$/iu;
const range = /^\s*(?:[-–—]|to|bis|tot|till?|à|al?|do|até)\s*$/iu;
const free = /^(?:free|gratis|gratuito?|kostenlos|kostenfrei|umsonst|offert|zdarma|darmo)[\s!.]*$/iu;
const onRequest =
  /(?:auf anfrage|(?:up)?on (?:request|application)|call for|sur demande|a consultar|bajo consulta|su richiesta|op aanvraag|på forespørsel|na zapytanie)(?!\p{L})/iu;

const lengthMax = 200;

interface Amount {
  readonly written: string;
  readonly start: number;
  readonly end: number;
  mark: Mark | undefined;
}
interface Mark {
  readonly start: number;
  readonly end: number;
  readonly currency: string | undefined;
  /** The currencies that share its sign. */
  readonly sharedBy: readonly string[];
}

/** A price for people, or one that was written as data: schema.org has a dot and no groups, so "1299.000" is not 1,299,000. */
export function readPrice({ text, isData }: RawPrice, home: string | null): Price | undefined {
  return isData && /^\s*\d+(?:\.\d+)?\s*$/u.test(text)
    ? { amount: rounded(Number(text)), currency: undefined }
    : parsePrice(text, home);
}

/**
 * The amount that is to be paid, of those in the first 200 characters of a text: the first one beside a currency that is neither
 * a former price nor one of a kilogram, else the first number. No share in % is one. Spaces count as one. The last of two different
 * separators is the decimal one; a lone separator before exactly three digits groups thousands ("1,299"), unless a zero
 * stands before it ("0.125") or the currency has three decimals.
 * @param home The source's currency: what a bare "$" means there, where that is one of the dollars.
 * @returns undefined for no number, or a negative one.
 */
export function parsePrice(written: string, home: string | null = null): Price | undefined {
  const text = signBehindCents(cut(collapsed(written)));
  const marks = marksIn(text, home);
  const amounts = amountsIn(text);
  if (amounts.length === 0) {
    if (onRequest.test(text)) return { amount: null, currency: undefined };
    return free.test(text) ? { amount: 0, currency: undefined } : undefined;
  }
  giveMarks(text, amounts, marks);
  const chosen = choose(text, amounts);
  if (chosen === undefined) return undefined;
  const { currency } = chosen.mark ?? marks[0] ?? { currency: undefined };
  const amount = toNumber(chosen.written, withThreeDecimals.has(currency ?? home ?? ''));
  return amount === undefined ? undefined : { amount, currency };
}

/** The currency that a text names, as a code or a sign. */
export function parseCurrency(written: string, home: string | null = null): string | undefined {
  const text = cut(collapsed(written));
  return marksIn(codes.has(text.toUpperCase()) ? text.toUpperCase() : text, home)[0]?.currency;
}

const collapsed = (text: string): string => text.trim().replace(/\s{2,}/gu, ' ');
/** Without a number at the cut, which may go on behind it. */
function cut(text: string): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax).replace(/[\d.,'’\s]+$/u, '')}…`;
}
/** "24€99" is 24.99 €, where no other sign could have the 99. */
function signBehindCents(text: string): string {
  if (text.match(/\p{Sc}/gu)?.length !== 1) return text;
  return text.replace(/(?<=\d)(?<![.,]\d{1,2})(\p{Sc})(\d\d)(?!\s?[\d.,%])/u, '.$2$1');
}

function marksIn(text: string, home: string | null): Mark[] {
  return [...text.matchAll(markPattern)].flatMap(({ 0: all, index, groups = {} }) => {
    const { letter, letters = letter, code } = groups;
    if (code !== undefined && !codes.has(code)) return [];
    const sign = groups['sign'] ?? groups['word']?.toLowerCase();
    let currency = code;
    if (letters !== undefined) currency = dollars[letters] ?? (codes.has(letters) ? letters : undefined);
    else if (sign !== undefined)
      currency = home !== null && shared[sign]?.includes(home) === true ? home : (signs[sign] ?? words[sign]);
    const sharedBy = sign === undefined ? [] : (shared[sign] ?? []);
    return [{ start: index, end: index + all.length, currency, sharedBy }];
  });
}

/** Numbers that may be amounts: a share is none, and a dash at the very start or beside the sign makes one negative. */
function amountsIn(text: string): Amount[] {
  return [...text.matchAll(numberPattern)]
    .map(({ 0: written, index }) => ({
      written,
      start: index,
      end: index + written.length,
      mark: undefined,
    }))
    .filter(({ start, end }) => {
      const isNegative = /(?:^|\p{Sc})\s*[-−]\s*\p{Sc}?\s*$/u.test(text.slice(0, start));
      return !isNegative && !/^\s*%/u.test(text.slice(end));
    });
}

/**
 * A mark is that of the amount it touches; of two, of the nearer one: "5 £9.99" are £9.99. The lower end of a range has that of
 * the upper.
 */
function giveMarks(text: string, amounts: readonly Amount[], marks: readonly Mark[]): void {
  for (const mark of marks) {
    const before = amounts.findLast(
      ({ end }) => end <= mark.start && /^(?:[.,:][-–—]{1,2})?[\s.]*$/u.test(text.slice(end, mark.start)),
    );
    const after = amounts.find(
      ({ start }) => start >= mark.end && /^[\s.:]*$/u.test(text.slice(mark.end, start)),
    );
    const isOfNext =
      before === undefined || (after !== undefined && after.start - mark.end < mark.start - before.end);
    const owner = isOfNext ? after : before;
    if (owner) owner.mark = both(owner.mark, mark);
  }
  for (const [index, upper] of [...amounts.entries()].toReversed()) {
    const lower = amounts[index - 1];
    if (lower && range.test(text.slice(lower.end, upper.start))) lower.mark ??= upper.mark;
  }
}

/** The first of an amount, unless the second says which dollar: "$20 CAD". */
function both(first: Mark | undefined, second: Mark): Mark {
  if (first === undefined) return second;
  const isTold = second.currency !== undefined && first.sharedBy.includes(second.currency);
  return isTold ? { ...second, start: Math.min(first.start, second.start) } : first;
}

function choose(text: string, amounts: readonly Amount[]): Amount | undefined {
  const before = ({ start, mark }: Amount) => text.slice(0, Math.min(start, mark?.start ?? start));
  const after = ({ end, mark }: Amount) => text.slice(Math.max(end, mark?.end ?? end));
  let left = prefer(amounts, ({ mark }) => mark !== undefined);
  left = prefer(left, (one) => !formerBefore.test(before(one)));
  left = prefer(left, (one) => !perMeasureAfter.test(after(one)) && !perMeasureBefore.test(before(one)));
  // "5er" and "B12" are words.
  left = prefer(left, (one) => !/\p{L}$/u.test(before(one)) && !/^\p{L}/u.test(after(one)));
  return left[0];
}

function toNumber(written: string, hasThreeDecimals: boolean): number | undefined {
  const number = written.replace(/['’\s]/gu, '');
  const separators = [...number.matchAll(/[.,]/gu)];
  const last = separators.at(-1);
  let plain = number;
  if (last) {
    const isLone = separators.length === 1;
    const isDecimal =
      number.length - last.index - 1 !== 3 ||
      new Set(separators.map(([separator]) => separator)).size === 2 ||
      (isLone && (hasThreeDecimals || number.startsWith('0') || last.index > 3));
    const whole = number.slice(0, last.index).replace(/[.,]/gu, '');
    plain = whole + (isDecimal ? '.' : '') + number.slice(last.index + 1);
  }
  const value = Number(plain);
  return Number.isFinite(value) ? rounded(value) : undefined;
}
function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
