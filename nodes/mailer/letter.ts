// What a mail says about its notices: subject, lines and details, without a layout. The most important first, and a bounded
// number of them. Pure: the same notices give the same letter on every node.
import type { LeaderChange, Notice, PriceDrop, RejectedFile } from './notice.ts';

export interface Letter {
  readonly subject: string;
  readonly heading: string;
  readonly entries: readonly Entry[];
  /** Those that are left out. */
  readonly more: number;
  /** Why the reader gets this. */
  readonly because: string;
}
export interface Entry {
  readonly title: string;
  /** Where on the page it is, from `#` on; undefined where there is no such place. */
  readonly anchor: string | undefined;
  readonly change: { readonly before: string; readonly now: string; readonly percent: number } | undefined;
  readonly details: readonly string[];
}

const entriesMax = 50;
const locale = 'en-GB'; // The language of these mails.
const plainPrice = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const clock = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'long', timeZone: 'UTC' });

/** @throws Error when the notices are of several kinds. */
export function writeLetter(notices: readonly [Notice, ...Notice[]]): Letter {
  switch (notices[0].kind) {
    case 'price-drop':
      return ofPrices(mergeDrops(only(notices, 'price-drop')));
    case 'file-rejected':
      return ofFiles(only(notices, 'file-rejected'));
    case 'leader-changed':
      return ofLeaders(only(notices, 'leader-changed'));
  }
}

/** As people write it: two digits for euros, none for yen, a fraction of a cent only where there is one. */
export function priceText(price: number, currency: string | null): string {
  if (currency === null) return plainPrice.format(price);
  return new Intl.NumberFormat(locale, { style: 'currency', currency, maximumFractionDigits: 4 }).format(
    price,
  );
}

function ofPrices(drops: readonly PriceDrop[]): Letter {
  const deepest = drops.toSorted((left, right) => percentOf(left) - percentOf(right));
  const [first] = deepest;
  const now = first ? `${first.title} now ${priceText(first.price, first.currency)}` : '';
  return {
    subject: drops.length === 1 ? now : `${drops.length} prices fell: ${now}`,
    heading: drops.length === 1 ? 'A price fell' : `${drops.length} prices fell`,
    entries: deepest.slice(0, entriesMax).map((drop) => ({
      title: drop.title,
      anchor: `#item-${encodeURIComponent(drop.source)}/${encodeURIComponent(drop.sku)}`,
      change: {
        before: priceText(drop.previousPrice, drop.currency),
        now: priceText(drop.price, drop.currency),
        percent: percentOf(drop),
      },
      details: [`${drop.inStock ? 'In stock' : 'Out of stock'} at ${drop.source}, article ${drop.sku}`],
    })),
    more: Math.max(0, deepest.length - entriesMax),
    because: 'You watch these prices.',
  };
}

function ofFiles(files: readonly RejectedFile[]): Letter {
  const newest = files.toReversed();
  return {
    subject:
      files.length === 1
        ? `File rejected: ${newest[0]?.name}`
        : `${files.length} files rejected: ${newest[0]?.name}`,
    heading: files.length === 1 ? 'A file was rejected' : `${files.length} files were rejected`,
    entries: newest.slice(0, entriesMax).map(({ name, reason, problems, openedAt }) => ({
      title: name,
      anchor: undefined,
      change: undefined,
      details: [
        reason ?? 'No reason was given.',
        // The first one may stand in the reason.
        ...problems.filter((problem) => !reason?.includes(problem)),
        `Taken up ${timeText(openedAt)}. It lies in rejected/ with its reason beside it; corrected and put into in/ it is read again.`,
      ],
    })),
    more: Math.max(0, newest.length - entriesMax),
    because: 'You are told when a file is rejected.',
  };
}

function ofLeaders(changes: readonly LeaderChange[]): Letter {
  const newest = changes.toReversed();
  const [last] = newest;
  return {
    subject: `${last?.leader} leads${changes.length > 1 ? `, after ${changes.length} changes` : ''}`,
    heading: changes.length === 1 ? 'The leader changed' : `The leader changed ${changes.length} times`,
    entries: newest.slice(0, entriesMax).map(({ leader, before, term, at }) => ({
      title: `${leader} took over from ${before}`,
      anchor: undefined,
      change: undefined,
      details: [`Term ${term}, ${timeText(at)}`],
    })),
    more: Math.max(0, newest.length - entriesMax),
    because: 'You are told when another node leads.',
  };
}

/** An item that fell twice fell once, from the first price to the last. */
function mergeDrops(drops: readonly PriceDrop[]): readonly PriceDrop[] {
  const merged = new Map<string, PriceDrop>();
  for (const drop of drops) {
    const key = `${drop.source}/${drop.sku}`;
    const earlier = merged.get(key);
    merged.set(
      key,
      earlier ? { ...drop, previousPrice: Math.max(drop.previousPrice, earlier.previousPrice) } : drop,
    );
  }
  return [...merged.values()];
}

function only<K extends Notice['kind']>(notices: readonly Notice[], kind: K): Extract<Notice, { kind: K }>[] {
  return notices.map((notice) => {
    if (notice.kind !== kind) throw new Error(`a notice of kind ${notice.kind} among those of ${kind}`);
    return notice as Extract<Notice, { kind: K }>;
  });
}
/** Negative: it fell. */
function percentOf({ price, previousPrice }: PriceDrop): number {
  return Math.round((price / previousPrice - 1) * 100);
}
const timeText = (at: string): string => clock.format(new Date(at));
