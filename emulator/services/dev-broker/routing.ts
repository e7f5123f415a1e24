// Which queues a message goes to, by exchange, binding and routing key. Pure: no queue is touched here.

export const exchangeTypes = ['direct', 'topic', 'fanout'] as const;
export type ExchangeType = (typeof exchangeTypes)[number];

export interface Binding {
  readonly exchange: string;
  readonly queue: string;
  readonly routingKey: string;
}

/** `*` is exactly one word, `#` any number of them; words are parted by dots. */
export function topicMatches(pattern: string, routingKey: string): boolean {
  return wordsMatch(pattern.split('.'), routingKey.split('.'));
}

function wordsMatch(pattern: readonly string[], words: readonly string[]): boolean {
  // Row by row over the pattern: after each of its words, which prefixes of the key it can have used up. A search that
  // tries every `#` at every place would take exponential time for `#.#.#.#.…`.
  let reached = [true, ...words.map(() => false)];
  for (const part of pattern) {
    const next: boolean[] = [];
    for (let used = 0; used <= words.length; used++) {
      const before = used > 0;
      if (part === '#') next[used] = (reached[used] ?? false) || (before && (next[used - 1] ?? false));
      else next[used] = before && (reached[used - 1] ?? false) && (part === '*' || part === words[used - 1]);
    }
    reached = next;
  }
  return reached.at(-1) ?? false;
}

/** The names of the queues, each once. `bindings` are those of the exchange. */
export function route(type: ExchangeType, bindings: Iterable<Binding>, routingKey: string): Set<string> {
  const queues = new Set<string>();
  for (const binding of bindings)
    if (matches(type, binding.routingKey, routingKey)) queues.add(binding.queue);
  return queues;
}

function matches(type: ExchangeType, pattern: string, routingKey: string): boolean {
  switch (type) {
    case 'direct':
      return pattern === routingKey;
    case 'topic':
      return topicMatches(pattern, routingKey);
    case 'fanout':
      return true;
  }
}
