// Stock as shops write it ("In stock (22 available)", "Nicht vorrätig", "https://schema.org/OutOfStock"). Pure. Each text is
// shortened before a pattern counts in it: what a shop writes does not decide how long that takes.

export interface Stock {
  readonly inStock: boolean;
  readonly stock: number | null;
}

// A number is a stock only beside a word for it: "In stock, delivery in 0-1 days" and "Lieferzeit 2-3 Tage" name none.
const count = String.raw`(?<count>\d{1,3}(?:[.,\u00a0\u202f]\d{3})+|\d{1,9})`;
const unit = String.raw`(?:items?|units?|pieces?|pcs|copies|articles?|Stk|Stück|Exemplare?|pi(?:è|e)ces|unidades|pezzi|stuks)`;
const stockWord = `(?:${[
  String.raw`in\s*stock|available|left|remaining`,
  String.raw`auf\s*Lager|lagernd|vorr(?:ä|ae)tig|verf(?:ü|ue)gbar|lieferbar|erh(?:ä|ae)ltlich`,
  String.raw`en\s*stock|disponibles?|disponibil[ei]|restants?|em\s*estoque|dispon(?:í|i)ve(?:l|is)`,
  String.raw`op\s*voorraad|leverbaar|beschikbaar`,
  String.raw`(?:i|på)\s*lager|tillgänglig|tilg(?:æ|j)engelig|varastossa|dostępn[yae]|skladem|в\s*наличии|на\s*складе`,
].join('|')})`;
const stockCounts = [
  String.raw`^\s*[>+]?\s*${count}(?:\.0+)?\s*\+?\s*(?:${unit}\.?)?\s*$`,
  String.raw`(?<![\d.,–—-])${count}\s*\+?[\s(]*(?:${unit}\.?\s*)?${stockWord}(?!\p{L})`,
  // Nothing but its unit may follow: "In stock 2 days" and "Available 3 May" are times.
  String.raw`(?<!\p{L})(?:${stockWord}|stock|inventory|quantity|qty|(?:Lager)?bestand|Vorrat|noch)[\s.:=(]*${count}\s*\+?\s*(?:${unit}\.?\s*)?(?=$|[);|]|[.,](?!\d))`,
].map((pattern) => new RegExp(pattern, 'iu'));

// Whatever says that there is some says with one of these before it that there is none, or none yet.
const denial = String.raw`(?:(?<!\p{L})(?:not|no|none|nicht|keine?|non|pas|plus(?=\s(?:de|en|disponible))|sin|não|niet|geen|inte|ej|ikke|ei|slut|nie|není|нет|fuera\sde|fora\sde|soon|bald|demnächst|bient(?:ô|o)t|binnenkort|próximamente|prossimamente)|n['’]t)[\s-]`;
const oneWordMore = String.raw`(?:(?!(?:all|many|only|just|alle|viele|nur|tous|tutti|todos)\s)\p{L}{1,20}\s)?`;
const soldOut = `(?:${[
  String.raw`out[\s-]*of[\s-]*stock|(?<!\p{L})oos(?!\p{L})|sold[\s-]*out|unavailable|discontinued|back[\s-]*order|pre[\s-]*order|coming[\s-]*soon`,
  String.raw`ausverkauft|vergriffen|épuisé|rupture|indisponible|indispon(?:í|i)ve|agotad[oa]|esaurit[oaie]|esgotad[oa]`,
  String.raw`uitverkocht|u[dt]solgt|slutsåld|wyprzedan[yae]|niedostępn[yae]|vyprodáno|loppu(?:unmyyty)?(?!\p{L})`,
].join('|')})`;
const almost = String.raw`(?:almost|nearly|fast|bald|presque|bient(?:ô|o)t|quasi|casi|bijna|snart)`;
const outOfStock = new RegExp(
  String.raw`${denial}${oneWordMore}(?:${stockWord}|stock|estoque|existencias|voorraad)(?!\p{L})|(?<!${almost}\s)${soldOut}`,
  'iu',
);

const lengthMax = 200;

/** Words or a schema.org URL ("https://schema.org/OutOfStock"); no text at all counts as in stock. */
export function parseStock(written: string | undefined): Stock {
  const text = (written ?? '')
    .replaceAll('_', ' ')
    .trim()
    .replace(/\s{2,}/gu, ' ');
  if (text === '') return { inStock: true, stock: null };
  const counted = /schema\.org/iu.test(text)
    ? undefined
    : stockCounts
        .map((pattern) => pattern.exec(cut(text))?.groups?.['count'])
        .find((found) => found !== undefined);
  const stock = counted === undefined ? null : Number(counted.replace(/\D/gu, ''));
  return { inStock: !outOfStock.test(text) && stock !== 0, stock };
}

/** Without a number at the cut, which may go on behind it. */
function cut(text: string): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax).replace(/[\d.,\s]+$/u, '')}…`;
}
