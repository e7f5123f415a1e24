// One page of a shop as the scraper reads it: robots.txt first, no address that the user did not name on a private network,
// the same rules for items, links and next page. Stores nothing, and needs no system.
import { isIP } from 'node:net';
import { isLoopback } from '../../contracts/environment.ts';
import type { ShopSource } from '../../contracts/source.ts';
import { extractItems, unansweredWords, type Extracted } from '../../functions/scraper/extract-items.ts';
import { createPageFetcher, hostAndPort } from '../../functions/scraper/fetch-page.ts';
import { createPoliteSite } from '../../functions/scraper/polite-site.ts';
import { isPublicAddress } from '../../functions/scraper/public-address.ts';
import { CommandError } from './exit-codes.ts';
import { facts, printable, table } from './table.ts';

export interface TriedPage extends Pick<Extracted, 'items' | 'links' | 'next'> {
  /** After redirects. */
  readonly url: string;
  readonly problems: readonly string[];
}

const withinMs = 60_000; // As long as robots.txt and a page may take.
const linksShown = 10;

/** @throws CommandError when the page cannot be read, or may not be. */
export async function tryPage(
  url: string,
  {
    source,
    privateShops,
    contact,
  }: {
    source: Pick<ShopSource, 'currency' | 'selectors' | 'requestEveryMs'>;
    privateShops: readonly string[];
    contact: string | undefined;
  },
): Promise<TriedPage> {
  refuseUnnamed(new URL(url), privateShops);
  const fetcher = createPageFetcher({ privateHosts: privateShops, contact });
  try {
    const deadline = performance.now() + withinMs;
    const site = createPoliteSite({ fetcher, requestEveryMs: source.requestEveryMs, deadline });
    const answer = await site.visit({ url, validators: undefined });
    if (answer.kind !== 'page')
      throw new CommandError(
        'failed',
        `${url}: ${answer.kind === 'not-modified' ? 'HTTP 304 to an unconditional request' : answer.reason}`,
      );
    const { items, links, next, problems, unanswered } = extractItems({
      html: answer.body,
      url: answer.url,
      source,
    });
    const isBarren = items.length + links.length === 0 && next === null;
    return {
      url: answer.url,
      items,
      links,
      next,
      problems: [
        ...(answer.note === undefined ? [] : [answer.note]),
        ...problems,
        ...unanswered.map((name) => unansweredWords(name, source)),
        ...(isBarren ? ['it shows no item, and no link that is followed'] : []),
      ],
    };
  } finally {
    await fetcher.close();
  }
}

/** The scraper would refuse it too, and could not say what to do about it here. */
function refuseUnnamed(url: URL, privateShops: readonly string[]): void {
  const host = url.hostname.replace(/^\[|\]$/gu, '');
  const isPrivate = isLoopback(url.hostname) || (isIP(host) !== 0 && !isPublicAddress(host));
  if (isPrivate && !privateShops.includes(hostAndPort(url)))
    throw new CommandError(
      'usage',
      `${url.host} is on a private address: if it is a shop of yours, add --private-shop ${hostAndPort(url)}`,
    );
}

export function triedText({ url, items, links, next, problems }: TriedPage): string {
  const list = (texts: readonly string[]): string =>
    texts.map((text) => `  ${printable(text)}\n`).join('') || '  none\n';
  const more = links.length > linksShown ? [`and ${links.length - linksShown} more`] : [];
  const rows = items.map(({ sku, title, price, currency, inStock, stock }) => [
    sku,
    price === null ? 'no price' : `${price} ${currency ?? '(no currency)'}`,
    inStock ? (stock ?? 'in stock') : 'out of stock',
    title,
  ]);
  return [
    `${printable(url)}\n`,
    `\nItems (${items.length})\n`,
    rows.length === 0 ? '  none\n' : table(['sku', 'price', 'stock', 'title'], rows),
    `\nLinks that are followed (${links.length})\n`,
    list([...links.slice(0, linksShown), ...more]),
    `\n${facts([['next page', next ?? 'none']]).trimStart()}`,
    `\nProblems (${problems.length})\n`,
    list(problems),
  ].join('');
}
