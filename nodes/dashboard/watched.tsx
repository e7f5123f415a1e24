// What a link of a mail leads to: the watch it was sent for, or the item it speaks of, above everything else.
import type { ComponentChildren } from 'preact';
import { formatPrice } from './format.ts';
import type { ItemDetail, WatchView } from '../../contracts/public-api.ts';
import { answer, ending, endWatch, place } from './place.ts';

export function Watched() {
  const here = place.value;
  if (!here) return null;
  const found = answer.value;
  const what = here.kind === 'watch' ? 'watch' : 'item';
  return (
    <section aria-labelledby="place-title" class="place">
      <div class="place-head">
        <h2 id="place-title">{here.kind === 'watch' ? 'Your watch' : 'Item'}</h2>
        <a href="#">Close</a>
      </div>
      {found === 'asking' && <p class="quiet">Looking for this {what}.</p>}
      {found === 'silent' && <p class="bad">The {what} cannot be shown now: the database does not answer.</p>}
      {found === 'missing' && <p>There is no such {what} any more.</p>}
      {typeof found === 'object' && (
        <>
          {found.watch && <Occasion watch={found.watch} title={found.item?.item.title} />}
          {found.item && <ItemCard view={found.item} />}
          {found.watch && <End watch={found.watch} />}
        </>
      )}
    </section>
  );
}

function Occasion({ watch, title }: { watch: WatchView; title: string | undefined }) {
  return ending.value === 'ended' ? (
    <p>This watch has ended: it sends no more mail.</p>
  ) : (
    <p>A mail is sent when {occasion(watch, title)}.</p>
  );
}

function End({ watch }: { watch: WatchView }) {
  if (ending.value === 'ended') return null;
  return (
    <p class="ending">
      <button type="button" disabled={ending.value === 'asked'} onClick={() => void endWatch(watch.id)}>
        End this watch
      </button>
      {ending.value === 'failed' && <span class="bad">It could not be ended now. Try again.</span>}
    </p>
  );
}
function occasion({ about, source, sku }: WatchView, title: string | undefined): ComponentChildren {
  switch (about) {
    case 'prices':
      if (sku !== null) return <>the price of {title ?? `article ${sku} of ${source}`} falls</>;
      return source === null ? 'any price falls' : <>any price of {source} falls</>;
    case 'files':
      return source === null ? 'a file is rejected' : <>a file of {source} is rejected</>;
    case 'leader':
      return 'another node leads';
  }
}

function ItemCard({ view: { item, history } }: { view: ItemDetail }) {
  const before = history.find(({ price }) => price !== null && price !== item.price)?.price ?? null;
  return (
    <div class="card">
      <p class="title">{item.url === null ? item.title : <a href={item.url}>{item.title}</a>}</p>
      <p class="now">
        <strong>{formatPrice(item.price, item.currency)}</strong>
        {before !== null && <span class="quiet"> was {formatPrice(before, item.currency)}</span>}
      </p>
      <p class="quiet">
        {item.vanished ? 'No longer offered' : item.inStock ? 'In stock' : 'Out of stock'} at {item.source},
        article {item.sku}
      </p>
    </div>
  );
}
