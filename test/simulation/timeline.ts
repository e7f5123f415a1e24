// What happens when, in simulated milliseconds: a heap of events, those of one moment in the order they were planned.

interface Entry<T> {
  readonly at: number;
  readonly order: number;
  readonly event: T;
}

export class Timeline<T> {
  readonly #heap: Entry<T>[] = [];
  #order = 0;
  now = 0;

  plan(at: number, event: T): void {
    const heap = this.#heap;
    const entry = { at: Math.max(at, this.now), order: this.#order++, event };
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || !before(entry, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  /** The next event up to and including `until`, if there is one. */
  nextBefore(until: number): T | undefined {
    const first = this.#heap[0];
    return first && first.at <= until ? this.next() : undefined;
  }

  /** Moves the clock to the next event and hands it out; undefined when none is left. */
  next(): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last) return undefined;
    this.now = first.at;
    if (heap.length > 0) this.#sink(last);
    return first.event;
  }

  #sink(entry: Entry<T>): void {
    const heap = this.#heap;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = heap[childIndex];
      if (!child) break;
      const right = heap[childIndex + 1];
      if (right && before(right, child)) {
        child = right;
        childIndex += 1;
      }
      if (!before(child, entry)) break;
      heap[index] = child;
      index = childIndex;
    }
    heap[index] = entry;
  }
}

const before = <T>(a: Entry<T>, b: Entry<T>): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
