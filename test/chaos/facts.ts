// A history indexed by what the invariants ask about. Knows no rule, and nothing of the product.
import type { HistoryRecord, ItemName } from './history.ts';

export type RecordOf<K extends HistoryRecord['kind']> = Extract<HistoryRecord, { kind: K }>;

/** An item of a message, over all tries to publish it. */
export interface Attempted extends ItemName {
  readonly price: number;
  readonly bad: boolean;
  readonly message: string;
  /** As dead letters name it. */
  readonly deadName: string;
}
export interface Facts {
  readonly attempts: Map<string, RecordOf<'attempt'>>;
  readonly confirmed: Set<string>;
  /** By itemKey. */
  readonly attempted: Map<string, Attempted>;
  /** In commit order. */
  readonly applied: RecordOf<'applied'>[];
  readonly claimed: RecordOf<'claimed'>[];
  /** By rowKey. */
  readonly appliedByRow: Map<string, RecordOf<'applied'>[]>;
  readonly rows: Map<string, RecordOf<'row'>>;
  /** By the message id they carry. */
  readonly dead: Map<string, RecordOf<'dead'>[]>;
  /** By id. */
  readonly events: RecordOf<'event'>[];
  readonly effects: RecordOf<'effect'>[];
  /** How many copies of each arrived. */
  readonly mails: Map<string, number>;
  readonly watches: RecordOf<'watch'>[];
  /** In the order of each reader. */
  readonly looks: Map<string, RecordOf<'looked'>[]>;
  readonly streams: Map<string, (RecordOf<'streamed'> | RecordOf<'reset'>)[]>;
  readonly drained: RecordOf<'drained'> | undefined;
  readonly faults: RecordOf<'fault'>[];
}

export const rowKey = ({ source, sku }: { source: string; sku: string }): string => `${source}\n${sku}`;
export const itemKey = (item: ItemName): string => `${rowKey(item)}\n${item.version}`;

export async function gatherFacts(
  history: AsyncIterable<HistoryRecord> | Iterable<HistoryRecord>,
): Promise<Facts> {
  let drained: RecordOf<'drained'> | undefined;
  const facts: Omit<Facts, 'drained'> = {
    attempts: new Map(),
    confirmed: new Set(),
    attempted: new Map(),
    applied: [],
    claimed: [],
    appliedByRow: new Map(),
    rows: new Map(),
    dead: new Map(),
    events: [],
    effects: [],
    mails: new Map(),
    watches: [],
    looks: new Map(),
    streams: new Map(),
    faults: [],
  };
  for await (const record of history)
    switch (record.kind) {
      case 'attempt':
        facts.attempts.set(record.message, record);
        for (const attempted of itemsOf(record)) facts.attempted.set(itemKey(attempted), attempted);
        break;
      case 'confirmed':
        facts.confirmed.add(record.message);
        break;
      case 'applied':
        facts.applied.push(record);
        break;
      case 'claimed':
        facts.claimed.push(record);
        break;
      case 'row':
        facts.rows.set(rowKey(record), record);
        break;
      case 'dead':
        append(facts.dead, record.message, record);
        break;
      case 'event':
        facts.events.push(record);
        break;
      case 'effect':
        facts.effects.push(record);
        break;
      case 'mail':
        facts.mails.set(record.messageId, (facts.mails.get(record.messageId) ?? 0) + 1);
        break;
      case 'watch':
        facts.watches.push(record);
        break;
      case 'looked':
        append(facts.looks, record.reader, record);
        break;
      case 'streamed':
      case 'reset':
        append(facts.streams, record.reader, record);
        break;
      case 'drained':
        drained = record;
        break;
      case 'fault':
        facts.faults.push(record);
        break;
      case 'in-doubt':
        break; // The attempt says that it may have been taken.
    }
  facts.applied.sort((one, other) => one.order - other.order);
  facts.claimed.sort((one, other) => one.order - other.order);
  facts.events.sort((one, other) => one.id - other.id);
  for (const application of facts.applied) append(facts.appliedByRow, rowKey(application), application);
  return { ...facts, drained };
}

function itemsOf({ message, source, items, bad = [] }: RecordOf<'attempt'>): Attempted[] {
  return items.map(([sku, version, price], index) => ({
    source,
    sku,
    version,
    price,
    message,
    bad: bad.includes(index),
    deadName: `${message}/${index}`,
  }));
}

function append<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
