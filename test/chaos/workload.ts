// What the publishers of a run publish: several versions of each item, out of order, alone and in pages, with some bad
// items and unreadable messages among them. From a seed alone, so that a publisher that was killed goes on where it
// was with the very same messages. Pure.
import { createHash } from 'node:crypto';
import { itemVersion, pageMessageIdInput } from '../../contracts/ids.ts';
import { itemPageType, itemPageVersion } from '../../contracts/item-page.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import { Chance } from '../simulation/chance.ts';
import type { HistoryRecord } from './history.ts';

/** As the scraper does it: one intake of the leader's, and pages with rising ordinals. */
export interface Crawl {
  readonly seed: number;
  readonly source: string;
  readonly intake: number;
  readonly messages: number;
}
export interface WorkloadMessage {
  readonly type: string;
  readonly messageId: string;
  readonly body: string;
  readonly attempt: Extract<HistoryRecord, { kind: 'attempt' }>;
}

export const hotSkus = Array.from({ length: 10 }, (_, index) => `hot-${index}`);
const coldSkus = 2_000;
const hotShare = 0.2; // So many messages that versions of one item meet in a batch, and wait for one another's row.
const pageShare = 0.25;
const itemsPerPageMax = 10;
const badItemShare = 0.01;
const poisonShare = 0.005;
/** Messages change places within it: versions arrive out of order, and still rise over the run. */
const shuffledTogether = 100;

export function* messagesOf(crawl: Crawl): Generator<WorkloadMessage> {
  const chance = new Chance(crawl.seed ^ Math.imul(crawl.intake, 0x9e3779b1) ^ hashOf(crawl.source));
  let ordinal = 0;
  for (let page = 0; page < crawl.messages;) {
    const together: WorkloadMessage[] = [];
    for (; together.length < shuffledTogether && page < crawl.messages; page++) {
      const message = drawMessage(crawl, { chance, page, ordinal });
      ordinal += itemsPerPageMax;
      together.push(message);
    }
    yield* shuffled(together, chance);
  }
}

/** One good item on a page of its own. */
export function singleMessage(
  crawl: Omit<Crawl, 'seed' | 'messages'>,
  { sku, page, price = 1 }: { sku: string; page: number; price?: number },
): WorkloadMessage {
  return pageOf(crawl, page, [{ sku, version: itemVersion({ intake: crawl.intake, ordinal: page }), price }]);
}

interface Drawn {
  readonly sku: string;
  readonly version: number;
  readonly price: number;
}

function drawMessage(
  crawl: Crawl,
  { chance, page, ordinal }: { chance: Chance; page: number; ordinal: number },
): WorkloadMessage {
  const count = chance.happens(pageShare) ? 2 + chance.below(itemsPerPageMax - 1) : 1;
  const items = Array.from({ length: count }, (_, index): Drawn => ({
    sku: chance.happens(hotShare) ? chance.pick(hotSkus) : `cold-${chance.below(coldSkus)}`,
    version: itemVersion({ intake: crawl.intake, ordinal: ordinal + index }),
    price: chance.happens(badItemShare) ? -1 : (100 + chance.below(10_000)) / 100,
  }));
  const message = pageOf(crawl, page, items);
  if (!chance.happens(poisonShare)) return message;
  return { ...message, body: `{"half": `, attempt: { ...message.attempt, items: [], poison: true } };
}

function pageOf(
  { source, intake }: Pick<Crawl, 'source' | 'intake'>,
  page: number,
  items: readonly Drawn[],
): WorkloadMessage {
  const messageId = createHash('sha256').update(pageMessageIdInput({ source, intake, page })).digest('hex');
  const bad = items.flatMap(({ price }, index) => (price < 0 ? [index] : []));
  return {
    type: itemPageType,
    messageId,
    body: JSON.stringify({
      version: itemPageVersion,
      source,
      intake,
      page,
      url: `https://shop.example/list/${page}`,
      fetchedAt: new Date().toISOString(),
      traceparent: newTraceparent(),
      items: items.map(({ sku, version, price }) => ({
        source,
        sku,
        // No two versions of an item say the same, so each one applied is an event.
        title: `${sku} as of ${version}`,
        url: `https://shop.example/${sku}`,
        imageUrl: null,
        price,
        currency: 'EUR',
        inStock: true,
        stock: null,
        version,
      })),
    }),
    attempt: {
      kind: 'attempt',
      message: messageId,
      source,
      items: items.map(({ sku, version, price }) => [sku, version, price] as const),
      ...(bad.length === 0 ? {} : { bad }),
    },
  };
}

/** Fisher and Yates. */
function shuffled<T>(things: readonly T[], chance: Chance): T[] {
  const left = [...things];
  return things.map(() => left.splice(chance.below(left.length), 1)[0] as T);
}

function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readInt32LE(0);
}
