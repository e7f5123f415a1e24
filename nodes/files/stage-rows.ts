// Reads the rows of a file as its bytes arrive, judges each, and stages those that pass in bounded transactions. Says what
// it counted, and whether the file as a whole can be read; never applies a row.
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { fileNameRule, parseFileName } from '../../contracts/file.ts';
import { itemVersion } from '../../contracts/ids.ts';
import { itemSchema } from '../../contracts/item.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import type { StagedRow, Store } from '../store.ts';
import { readRows } from './read-rows.ts';

const rowsPerTransaction = 5_000; // Half of the cap on a staging transaction, so that a claim waits less.
const problemsShownMax = 10;
const namesIgnoredMax = 20;

export interface Staged {
  rows: number;
  invalid: number;
  problems: string[];
  /** The file as a whole cannot be read. */
  broken: Failure | undefined;
}

/** Resolves when the stream has ended, with bad rows and bad files too. @throws Failure of the store. */
export async function stageRows(
  stream: Readable,
  file: {
    upload: string;
    name: string;
    intake: number;
    currency: string | null;
    store: Pick<Store, 'stageRows'>;
  },
): Promise<Staged> {
  const staged: Staged = { rows: 0, invalid: 0, problems: [], broken: undefined };
  const name = parseFileName(file.name);
  const ignored = new Set<string>();
  let waiting: StagedRow[] = [];
  const flush = async (): Promise<void> => {
    if (waiting.length > 0) await file.store.stageRows(file.upload, waiting);
    waiting = [];
  };
  try {
    if (!name) throw new Failure('FILE_MALFORMED', `${file.name}: ${fileNameRule}`);
    for await (const { row, value, problem } of readRows(stream, name)) {
      staged.rows += 1;
      const content = typeof value === 'object' && value !== null ? value : {};
      // A crawl file repeats its messages, their versions too; a partner's rows get theirs from their position.
      const item =
        name.crawlIntake === undefined
          ? {
              ...readPartnerRow(content, { ...file, ignored }),
              version: itemVersion({ intake: file.intake, ordinal: row }),
            }
          : content;
      const judged =
        problem === undefined ? itemSchema.safeParse({ ...item, source: name.source }) : undefined;
      if (judged?.success) waiting.push({ row, item: judged.data });
      else {
        staged.invalid += 1;
        if (staged.problems.length < problemsShownMax)
          staged.problems.push(
            `row ${row}: ${problem ?? describeIssues(judged ? issuesOf(judged.error) : [])}`,
          );
      }
      if (waiting.length >= rowsPerTransaction) await flush();
    }
    await flush();
  } catch (error) {
    if (error instanceof Failure && error.rule.next !== 'reject-file') throw error;
    staged.broken =
      error instanceof Failure
        ? error
        : new Failure('FILE_MALFORMED', `${file.name}: ${describeError(error)}`);
  }
  if (ignored.size > 0)
    staged.problems.push(`columns that no item has, left out: ${[...ignored].join(', ')}`);
  // The rest is counted and hashed all the same: only then is a bad file told from a truncated one.
  if (!stream.readableEnded) {
    stream.unpipe(); // From whoever still unpacks it for nobody, and holds it up.
    stream.resume();
    await finished(stream, { writable: false }).catch(() => undefined); // However it ends: what arrived is counted.
  }
  return staged;
}

/** docs/partners.md says what partners may leave out and add. `ignored`: gets the names of what no item has. */
function readPartnerRow(
  given: object,
  { currency, ignored }: { currency: string | null; ignored: Set<string> },
): Record<string, unknown> {
  const row: Record<string, unknown> = {
    url: null,
    imageUrl: null,
    price: null,
    currency: null,
    stock: null,
  };
  for (const [name, value] of Object.entries(given)) {
    if (Object.hasOwn(itemSchema.shape, name)) row[name] = value;
    else if (ignored.size < namesIgnoredMax) ignored.add(name.slice(0, 40));
  }
  row['currency'] ??= currency;
  if (typeof row['stock'] === 'number') row['inStock'] ??= row['stock'] > 0;
  return row;
}
