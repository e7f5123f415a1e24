// A queue that gives the lowest id first, so that a message which comes back takes its old place. Adding the highest
// id, the common case, costs nothing extra. Pure.

export class Heap<Item extends { readonly id: number }> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  first(): Item | undefined {
    return this.#items[0];
  }

  add(item: Item): void {
    const items = this.#items;
    let place = items.push(item) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || parent.id <= item.id) break;
      items[place] = parent;
      place = above;
    }
    items[place] = item;
  }

  take(): Item | undefined {
    const items = this.#items;
    const taken = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return taken;
    // The last one sinks from the top to where nothing below it is lower.
    let place = 0;
    for (;;) {
      const below = lowerOf(items, 2 * place + 1);
      const child = items[below];
      if (child === undefined || child.id >= last.id) break;
      items[place] = child;
      place = below;
    }
    items[place] = last;
    return taken;
  }

  /** All of them, lowest first; none is left. */
  takeAll(): Item[] {
    return this.#items.splice(0).sort((a, b) => a.id - b.id);
  }
}

/** Of the two places from `left`, the one with the lower id. */
function lowerOf(items: readonly { readonly id: number }[], left: number): number {
  const [a, b] = [items[left], items[left + 1]];
  return a !== undefined && b !== undefined && b.id < a.id ? left + 1 : left;
}
