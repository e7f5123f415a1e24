// The fenced write: one statement that holds the term, keeps the newest version of each key, stores history and
// numbers the feed. What it did not apply is explained by a second look, which needs no fence.
//
// Three traps shaped it, each of which let a stale row in when it was tried: a fence that nothing joins is never
// evaluated; FOR KEY SHARE does not conflict with a claim; an old price read by a join is of the snapshot before the wait
// for a lock, so old values come from RETURNING old alone.
import { intakeOf, ordinalsPerIntake } from '../../contracts/ids.ts';
import type { Item } from '../../contracts/item.ts';
import type { ItemVerdict } from '../../contracts/node-api.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import {
  contentFields,
  contentFrom,
  contentOf,
  itemArrays,
  itemColumns,
  itemSelection,
  itemValues,
} from './item-columns.ts';
import { isRefusedAsData, type PreparedStatement, type Queries } from './pool.ts';

/** What the feed has no change of its own for. */
const otherFields = contentFields.filter(
  (field) => !['vanished', 'price', 'inStock', 'stock'].includes(field),
);
/** Old values come from here alone. */
export const writtenColumns = `new.*, old.version AS old_version, old.price AS old_price, old.currency AS old_currency,
    old.vanished AS old_vanished, old.in_stock AS old_in_stock, old.stock AS old_stock,
    ${contentOf('old', otherFields)} IS DISTINCT FROM ${contentOf('new', otherFields)} AS other_content`;

/**
 * The newest version of each key, where it is newer than what is there. `given`: columns of an item, a traceparent, a place.
 * `refused`: which of them say nothing, whatever is there: a snapshot of their source made them old, say.
 */
export const upsertUnless = (refused: string): string => `incoming AS (
  -- The same key twice in one statement would fail as a whole, for ever (SQLSTATE 21000).
  SELECT DISTINCT ON (given.source, given.sku) given.*
  FROM given JOIN sources ON sources.name = given.source
  WHERE NOT (${refused})
  ORDER BY given.source, given.sku, given.version DESC, given.place
),
applied AS (
  INSERT INTO items (${itemColumns}, term, traceparent, changed_at)
  SELECT ${itemColumns}, fence_held.term, traceparent, clock_timestamp()
  FROM incoming, fence_held
  ORDER BY source, sku -- Rows are locked in one order by all writers.
  ON CONFLICT (source, sku) DO UPDATE SET
    version = excluded.version, ${contentFrom('excluded')},
    term = excluded.term, traceparent = excluded.traceparent, changed_at = excluded.changed_at
  WHERE items.version < excluded.version
  RETURNING ${writtenColumns}
)`;

/**
 * `given` and what it becomes: common table expressions that end with `applied`, the item rows they wrote with
 * `writtenColumns`. All that write have to join `fence_held`, or something that does; $1 is the term.
 * `repeats`: whether a newer version that says the same is kept in the history and counts as applied. A message's does,
 * since each stands for a look at a shop; the rows of a partner's file mostly repeat the file before.
 */
export function writeStatement({
  given,
  applied,
  repeats,
}: {
  given: string;
  applied: string;
  repeats: 'recorded' | 'silent';
}): string {
  return `
WITH fence_held AS (SELECT term FROM fence WHERE id = 1 AND term = $1 FOR SHARE),
given AS (${given}),
${applied},
judged AS (
  SELECT *, CASE
    WHEN old_version IS NULL THEN 'new'
    WHEN vanished AND NOT old_vanished THEN 'vanished'
    WHEN old_vanished AND NOT vanished THEN 'returned'
    WHEN price IS DISTINCT FROM old_price THEN 'price'
    WHEN (in_stock, stock) IS DISTINCT FROM (old_in_stock, old_stock) THEN 'stock'
    WHEN other_content THEN 'content'
  END AS change FROM applied
),
recorded AS (SELECT * FROM judged WHERE ${repeats === 'recorded' ? 'true' : 'change IS NOT NULL'}),
versions AS (
  INSERT INTO item_versions (${itemColumns}, term, traceparent, changed_at)
  SELECT ${itemColumns}, term, traceparent, changed_at FROM recorded
),
changed AS (SELECT *, row_number() OVER (ORDER BY source, sku) AS nth FROM judged WHERE change IS NOT NULL),
head AS (
  UPDATE feed_head SET
    last = last + (SELECT count(*) FROM changed),
    items = items + (SELECT count(*) FROM applied WHERE old_version IS NULL),
    item_versions = item_versions + (SELECT count(*) FROM recorded)
  WHERE id = 1 AND (SELECT count(*) FROM recorded) > 0 -- What changed nothing waits for nobody here.
  RETURNING old.last AS before
),
events AS (
  INSERT INTO feed (id, source, sku, item_version, change, title, price, previous_price, currency, in_stock, term, traceparent, at)
  SELECT head.before + nth, source, sku, version, change, title, price,
    -- A price in another currency is neither lower nor higher.
    CASE WHEN old_currency IS NOT DISTINCT FROM currency THEN old_price END, currency, in_stock, term, traceparent, changed_at
  FROM changed, head
)
SELECT (SELECT term FROM fence_held) AS held,
  (SELECT count(*) FROM given) AS given,
  coalesce((SELECT json_agg(json_build_array(source, sku, version)) FROM recorded), '[]') AS applied`;
}

export interface WriteAnswer {
  readonly held: number | null;
  /** How many rows were given. */
  readonly given: number;
  readonly applied: readonly [source: string, sku: string, version: number][];
}

/** @throws Failure STALE_TERM: nothing was written. */
export async function write(
  queries: Queries,
  what: string,
  statement: string | PreparedStatement,
  values: readonly unknown[],
): Promise<WriteAnswer> {
  const [answer] = await queries.query<WriteAnswer>(what, statement, values);
  if (!answer) throw new Error(`${what}: the write statement answered nothing`);
  if (answer.held === null) {
    const [fence] = await queries.query<{ term: number }>(what, 'SELECT term FROM fence WHERE id = 1');
    throw new Failure('STALE_TERM', `${what}: term ${String(values[0])} is over`, {
      details: { databaseTerm: fence?.term },
    });
  }
  return answer;
}

// Prepared, since planning it takes longer than writing fifty items.
const batchStatement: PreparedStatement = {
  name: 'write-batch',
  text: writeStatement({
    given: `SELECT * FROM unnest($2::text[], ${itemArrays(3)}) WITH ORDINALITY
      AS given (traceparent, ${itemColumns}, place)`,
    // A version of an intake to come would stand, and whatever comes before that intake would be stale.
    applied: upsertUnless(`given.version <= sources.snapshot_version
      OR given.version >= (sources.last_intake + 1)::bigint * ${ordinalsPerIntake}`),
    repeats: 'recorded',
  }),
};

const presentStatement = `
SELECT given.place, sources.name IS NOT NULL AS source_known, sources.last_intake, sources.snapshot_version, item.*
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given (source, sku, place)
LEFT JOIN sources ON sources.name = given.source
LEFT JOIN (SELECT ${itemSelection} FROM items) AS item ON item.source = given.source AND item.sku = given.sku`;

interface Entry {
  readonly item: Item;
  readonly traceparent: string;
}
type Present = Partial<Item> & {
  place: number;
  source_known: boolean;
  last_intake: number | null;
  snapshot_version: number | null;
  version: number | null;
};

/**
 * One verdict per item, in their order. An item that the database refuses as data would fail the others with it, at each
 * try: it is found by halves, and is invalid alone. @throws Failure STALE_TERM and those of Queries.
 */
export async function writeBatch(
  queries: Queries,
  term: number,
  entries: readonly Entry[],
): Promise<ItemVerdict[]> {
  try {
    return await writeAll(queries, term, entries);
  } catch (error) {
    if (!isRefusedAsData(error)) throw error;
    if (entries.length === 1)
      return [
        {
          kind: 'invalid',
          code: 'ITEM_MALFORMED',
          reason: `the database refuses it: ${describeError(error)}`,
        },
      ];
    const half = Math.ceil(entries.length / 2);
    const first = await writeBatch(queries, term, entries.slice(0, half));
    return [...first, ...(await writeBatch(queries, term, entries.slice(half)))];
  }
}

async function writeAll(queries: Queries, term: number, entries: readonly Entry[]): Promise<ItemVerdict[]> {
  const what = `writing ${entries.length} items`;
  const { applied } = await write(queries, what, batchStatement, [
    term,
    entries.map(({ traceparent }) => traceparent),
    ...itemValues(entries.map(({ item }) => item)),
  ]);
  // Each key was applied once; of the same version twice the first one is meant.
  const open = new Set(applied.map(keyOf));
  const verdicts: (ItemVerdict | undefined)[] = entries.map(({ item }) =>
    open.delete(keyOf([item.source, item.sku, item.version])) ? { kind: 'applied' } : undefined,
  );
  const others = entries.flatMap(({ item }, index) =>
    verdicts[index] === undefined ? [{ item, index }] : [],
  );
  if (others.length > 0) {
    const present = await queries.query<Present>(what, presentStatement, [
      others.map(({ item }) => item.source),
      others.map(({ item }) => item.sku),
    ]);
    const byPlace = new Map(present.map((row) => [row.place, row]));
    for (const [position, { item, index }] of others.entries())
      verdicts[index] = explain(item, byPlace.get(position + 1));
  }
  return verdicts.map((verdict) => verdict ?? { kind: 'stale' });
}

/**
 * Goes the way of a batch up to the fence, in a term that nobody ever holds: afterwards a connection is open, the statement
 * planned and the code compiled. @throws Failure of Queries.
 */
export async function rehearseBatch(queries: Queries): Promise<void> {
  const refused = writeBatch(queries, noTerm, [
    {
      traceparent: '',
      item: {
        source: '',
        sku: '',
        version: 0,
        title: '',
        url: '',
        imageUrl: null,
        price: 0,
        currency: 'EUR',
        inStock: false,
        stock: null,
        vanished: false,
      },
    },
  ]);
  await refused.catch((error: unknown) => {
    if (!(error instanceof Failure && error.code === 'STALE_TERM')) throw error;
  });
}
const noTerm = -1; // A database that was just made is in term 0.

function keyOf([source, sku, version]: readonly [string, string, number]): string {
  return `${source}\n${version}\n${sku}`;
}

/**
 * Why an item was not applied: what stands in its place is at least as new, or a snapshot is, or nobody handed out its intake.
 * @throws Failure BUSY when neither is so any more: its source was entered, or made anew, after the write.
 */
function explain(item: Item, present: Present | undefined): ItemVerdict {
  if (!present?.source_known)
    return { kind: 'invalid', code: 'SOURCE_UNKNOWN', reason: `no source ${item.source} is configured` };
  const [intake, lastIntake] = [intakeOf(item.version), present.last_intake ?? 0];
  if (intake > lastIntake)
    return {
      kind: 'invalid',
      code: 'ITEM_MALFORMED',
      reason: `version: it is of intake ${intake}, which was not handed out; the last one of ${item.source} is ${lastIntake}`,
    };
  if (present.version !== item.version) {
    if (item.version <= Math.max(present.version ?? 0, present.snapshot_version ?? 0))
      return { kind: 'stale' };
    throw new Failure('BUSY', `source ${item.source} was changed while an item of it was written`);
  }
  const differing = contentFields.filter((field) => asStored(item[field]) !== present[field]);
  return differing.length === 0
    ? { kind: 'unchanged' }
    : {
        kind: 'invalid',
        code: 'VERSION_REUSED',
        reason: `version ${item.version} came before with another ${differing.join(', ')}`,
      };
}

/** A redelivery is compared with what the database made of it the first time. */
function asStored(value: string | number | boolean | null): string | number | boolean | null {
  if (typeof value === 'number') return Math.round(value * 10_000) / 10_000; // numeric(16,4)
  return typeof value === 'string' ? value.toWellFormed() : value; // UTF-8
}
