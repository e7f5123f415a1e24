// The stream of items: what changed, old price struck through beside the new one, with a filter and a pause.
import { changeKinds, changesShown, filterChanges, type ChangeKind, type ItemChange } from './changes.ts';
import { formatClock, formatPrice } from './format.ts';
import { isAt, itemHere } from './place.ts';
import { changes, filter, frozen } from './state.ts';

export function Items() {
  const shown = frozen.value ?? changes.value;
  const matching = filterChanges(shown, filter.value);
  return (
    <section aria-labelledby="items-title" class="items">
      <h2 id="items-title">Items</h2>
      <Controls />
      {matching.length === 0 ? (
        <p class="quiet empty">
          {shown.length === 0
            ? 'Nothing has changed since this page was opened. Changes appear here as they are committed.'
            : `None of the last ${shown.length} changes matches.`}
        </p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Changes of items, newest first">
          <ol class="changes">
            {matching.slice(0, changesShown).map((change) => (
              <Change key={change.id} change={change} />
            ))}
          </ol>
        </div>
      )}
    </section>
  );
}

function Controls() {
  const missed = frozen.value
    ? changes.value.filter(({ id }) => id > (frozen.value?.[0]?.id ?? 0)).length
    : 0;
  return (
    <form class="controls" role="search" aria-label="Items" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span>Filter</span>
        <input
          type="search"
          autocomplete="off"
          placeholder="title, article or source"
          value={filter.value.text}
          onInput={({ currentTarget }) => (filter.value = { ...filter.value, text: currentTarget.value })}
        />
      </label>
      <label>
        <span>Change</span>
        <select
          value={filter.value.kind}
          onChange={({ currentTarget }) =>
            (filter.value = { ...filter.value, kind: currentTarget.value as ChangeKind | 'all' })
          }
        >
          <option value="all">all</option>
          {changeKinds.map((kind) => (
            <option key={kind} value={kind}>
              {kind}
            </option>
          ))}
        </select>
      </label>
      <button type="button" onClick={() => (frozen.value = frozen.value ? undefined : changes.value)}>
        {frozen.value ? `Go on${missed > 0 ? ` (${missed} new)` : ''}` : 'Pause'}
      </button>
    </form>
  );
}

function Change({ change }: { change: ItemChange }) {
  return (
    <li class={`change${isAt(itemHere(), change) ? ' here' : ''}`} data-id={change.id}>
      <time dateTime={change.at}>{formatClock(change.at)}</time>
      <div class="what">
        <span class="title">{change.title}</span>
        <span class="quiet">
          {change.source} · {change.sku}
        </span>
      </div>
      <Outcome change={change} />
    </li>
  );
}

function Outcome({ change }: { change: ItemChange }) {
  const { price, previousPrice, currency } = change;
  if (change.change === 'price' && previousPrice !== null && price !== null) {
    const fell = price < previousPrice;
    return (
      <p class={`price ${fell ? 'fell' : 'rose'}`}>
        <span class="unseen">{fell ? 'fell from ' : 'rose from '}</span>
        <del>{formatPrice(previousPrice, currency)}</del> <span aria-hidden="true">{fell ? '▼' : '▲'}</span>
        <span class="unseen"> to </span> <strong>{formatPrice(price, currency)}</strong>
      </p>
    );
  }
  return (
    <p class="price">
      <span class={`kind ${change.change}`}>{changeText(change)}</span>
      {formatPrice(price, currency)}
    </p>
  );
}

function changeText({ change, inStock }: ItemChange): string {
  switch (change) {
    case 'new':
      return 'new';
    case 'price':
      return 'priced'; // Had none before, or has none now.
    case 'stock':
      return inStock ? 'in stock' : 'out of stock';
    case 'content':
      return 'edited';
    case 'vanished':
      return 'vanished';
    case 'returned':
      return 'returned';
  }
}
