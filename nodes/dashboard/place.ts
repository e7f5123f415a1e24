// The place that a link of a mail leads to, from the address bar's `#`: a watch, or an item. What is there is asked for
// when the place changes, and again when an event tells that its item did. Whoever has the link of a
// watch may end it.
import { effect, signal } from '@preact/signals';
import type { ItemDetail, WatchView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { changes } from './state.ts';

export interface ItemKey {
  readonly source: string;
  readonly sku: string;
}
export type Place =
  { readonly kind: 'watch'; readonly id: string } | ({ readonly kind: 'item' } & ItemKey) | undefined;
export interface Found {
  readonly watch?: WatchView;
  readonly item?: ItemDetail;
}
export type Answer = 'asking' | 'missing' | 'silent' | Found;
export type Ending = 'possible' | 'asked' | 'ended' | 'failed';

export const place = signal<Place>(undefined);
export const answer = signal<Answer>('asking');
export const ending = signal<Ending>('possible');

const answerWithinMs = 5_000;

function readPlace(hash: string): Place {
  const watch = /^#watch-(?<id>[0-9a-f-]{36})$/.exec(hash)?.groups?.['id'];
  if (watch !== undefined) return { kind: 'watch', id: watch };
  const { source, sku } = /^#item-(?<source>[a-z0-9-]+)\/(?<sku>[^/]+)$/.exec(hash)?.groups ?? {};
  if (source === undefined || sku === undefined) return undefined;
  try {
    return { kind: 'item', source, sku: decodeURIComponent(sku) };
  } catch {
    return undefined; // A broken escape: no link of ours.
  }
}

/** The item at the present place, if it is one. */
export function itemHere(): ItemKey | undefined {
  const here = place.value;
  if (here?.kind === 'item') return here;
  const { watch } = typeof answer.value === 'object' ? answer.value : {};
  return watch?.source != null && watch.sku !== null ? { source: watch.source, sku: watch.sku } : undefined;
}
export const isAt = (key: ItemKey | undefined, { source, sku }: ItemKey): boolean =>
  key?.source === source && key.sku === sku;

export function startPlace(): void {
  const go = (): void => {
    place.value = readPlace(location.hash);
    answer.value = 'asking';
    ending.value = 'possible';
    void look();
  };
  addEventListener('hashchange', go);
  go();
  let seen = 0;
  effect(() => {
    const fresh = changes.value.filter((change) => change.id > seen);
    seen = changes.value[0]?.id ?? 0;
    const key = itemHere();
    if (fresh.some((change) => isAt(key, change))) void look();
  });
}

async function look(): Promise<void> {
  const here = place.peek();
  if (!here) return;
  const found = await find(here).catch((): Answer => 'silent');
  // The reader may have gone on meanwhile, and what was known is better than nothing.
  if (place.peek() !== here || (found === 'silent' && typeof answer.peek() === 'object')) return;
  answer.value = found;
}
async function find(here: NonNullable<Place>): Promise<Answer> {
  if (here.kind === 'item') {
    const item = await ask<ItemDetail>(itemPath(here));
    return item ? { item } : 'missing';
  }
  const watch = await ask<WatchView>(publicRoutes.watch(here.id));
  if (!watch) return 'missing';
  const { source, sku } = watch;
  const item = source !== null && sku !== null ? await ask<ItemDetail>(itemPath({ source, sku })) : undefined;
  return item ? { watch, item } : { watch };
}
const itemPath = ({ source, sku }: ItemKey): string =>
  publicRoutes.item(encodeURIComponent(source), encodeURIComponent(sku));

async function ask<T>(path: string): Promise<T | undefined> {
  const response = await fetch(path, { signal: AbortSignal.timeout(answerWithinMs) });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return (await response.json()) as T;
}

export async function endWatch(id: string): Promise<void> {
  ending.value = 'asked';
  try {
    const { ok, status } = await fetch(publicRoutes.endOfWatch(id), {
      method: 'POST',
      signal: AbortSignal.timeout(answerWithinMs),
    });
    ending.value = ok || status === 404 ? 'ended' : 'failed';
  } catch {
    ending.value = 'failed'; // Shown on the page, with the button to try again.
  }
}
