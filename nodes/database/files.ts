// Files: the ledger row before the upload, rows staged as they arrive, judged, and applied by fenced statements of bounded
// size, the ledger last. No statement goes through all rows of a file or of a source: there may be millions, and each has ten
// seconds. A file that is taken up again after any failure ends in the same state.
import { fileNameRule, parseFileName } from '../../contracts/file.ts';
import { itemVersion, lastVersionOf } from '../../contracts/ids.ts';
import {
  fileAnswerSchema,
  type FileAnswer,
  type FileOpenAnswer,
  type FileOpenRequest,
} from '../../contracts/node-api.ts';
import { sourceSchema, vanishJudgedFrom, type Source } from '../../contracts/source.ts';
import { Failure } from '../../runtime/failure.ts';
import { pause } from '../../runtime/waiting.ts';
import type { FileStore, StagedRow } from '../store.ts';
import { contentFrom, contentOf, itemArrays, itemColumns, itemValues } from './item-columns.ts';
import type { Queries } from './pool.ts';
import { upsertUnless, write, writeStatement, writtenColumns } from './write-items.ts';

const rowsPerStatement = 5_000; // At most 10,000, so that a claim never waits long for one.
const stagedRowsMax = 10_000;
const badRowsShareMaxDefault = 0.1;
/** A crawl file may overtake the messages of its crawl, which is told from a loss by waiting this long. */
const crawlMessagesWithinS = 120;
/** Most are a moment late. For the others the file is not held, nor the lease of all files with it. */
const crawlLooksAfterMs = [500, 1_500, 3_000];

export function fileQueries(queries: Queries): FileStore {
  return {
    openFile: (term, request) => openFile(queries, term, request),
    fileIntake: (fileId) => fileIntake(queries, fileId),
    stageRows: (upload, rows) => stageRows(queries, upload, rows),
    applyUpload: (term, upload) => applyUpload(queries, term, upload),
    clearStaged: (upload) => clearStaged(queries, upload),
    rejectFile: (term, file) => rejectFile(queries, term, file),
    async fileOutcome(term, fileId, { movedTo, reason }) {
      await queries.query('noting what became of a file', 'SELECT move_file($1, $2, $3, $4)', [
        term,
        fileId,
        movedTo,
        reason,
      ]);
    },
  };
}

async function openFile(queries: Queries, term: number, request: FileOpenRequest): Promise<FileOpenAnswer> {
  const name = parseFileName(request.name);
  const [opened] = await queries.query<{
    file_id: string;
    intake: number;
    state: string;
    reason: string | null;
    answer: unknown;
  }>(
    `opening ${request.name}`,
    'SELECT file_id, intake, state, reason, answer FROM open_file($1, $2, $3, $4, $5, $6, $7, $8)',
    [
      term,
      request.name,
      request.size,
      request.modifiedAt,
      request.traceparent,
      name?.source ?? null,
      name?.crawlIntake ?? null,
      name ? null : fileNameRule,
    ],
  );
  if (!opened) throw new Error(`opening ${request.name} answered nothing`);
  const { file_id: fileId, intake, state, reason, answer } = opened;
  if (state === 'applied') return { kind: 'done', fileId, answer: standingAnswer({ answer, reason }) };
  if (state === 'rejected') return { kind: 'rejected', fileId, reason: reason ?? 'rejected before' };
  return { kind: 'upload', fileId, intake };
}

async function fileIntake(queries: Queries, fileId: string): ReturnType<FileStore['fileIntake']> {
  const file = await readLedger(queries, fileId);
  if (!file) return undefined;
  const { name, intake, size, state, currency } = file;
  return { name, intake, size, currency, ...(state === 'opened' ? {} : { settled: standingAnswer(file) }) };
}

/** Not fenced: nobody reads these rows before a fenced statement applies them. */
async function stageRows(queries: Queries, upload: string, rows: readonly StagedRow[]): Promise<void> {
  if (rows.length > stagedRowsMax)
    throw new Error(
      `${rows.length} rows are to be staged in one transaction, at most ${stagedRowsMax} may be`,
    );
  await queries.query(
    `staging ${rows.length} rows`,
    `INSERT INTO staged_rows (upload, place, ${itemColumns}) SELECT $1, * FROM unnest($2::integer[], ${itemArrays(3)})`,
    [upload, rows.map(({ row }) => row), ...itemValues(rows.map(({ item }) => item))],
  );
}

interface Upload {
  readonly fileId: string;
  readonly upload: string;
  readonly sha256: string;
  readonly rows: number;
  readonly invalid: number;
  readonly problems: readonly string[];
}
interface LedgerRow {
  name: string;
  size: number;
  intake: number;
  state: string;
  traceparent: string;
  answer: unknown;
  reason: string | null;
  definition: unknown;
  snapshot_version: number | null;
  opened_for_s: number;
  /** Of its source, where that is a partner's. */
  currency: string | null;
  applied: number;
  set_right: number;
  vanished: number;
}

/**
 * Done again after any failure it ends the same: rows have their versions from the file, and a ledger row is settled once.
 * @throws Failure STALE_TERM, FILE_EARLY when a crawl's messages are still on their way, FILE_TRUNCATED when staged rows were lost.
 */
async function applyUpload(queries: Queries, term: number, upload: Upload): Promise<FileAnswer> {
  const file = await readLedger(queries, upload.fileId);
  if (!file) throw new Failure('NOT_FOUND', `there is no file ${upload.fileId}`);
  // Another upload of the same file was faster.
  if (file.state !== 'opened') return standingAnswer(file);
  if (file.definition === null) throw new Failure('SOURCE_UNKNOWN', `${file.name}: its source is gone`);
  const source = sourceSchema.parse(file.definition);
  const isCrawl = parseFileName(file.name)?.crawlIntake !== undefined;
  const isSnapshot = isCrawl || (source.kind === 'partner' && source.snapshot);

  const staged = await lookWithMessages(queries, upload, { ...file, isCrawl });
  assertAllStaged(upload, staged.rows);
  const objection =
    tooManyBadRows(upload, source) ??
    (isSnapshot && staged.rows === 0
      ? 'it has no rows: taken as a snapshot, everything would have vanished'
      : null) ??
    (isCrawl && staged.beyond > 0 ? `${staged.beyond} rows have versions of a later crawl` : null);
  if (objection !== null)
    return rejectFile(queries, term, {
      fileId: upload.fileId,
      reason: objection,
      problems: upload.problems,
      rows: upload.rows,
      invalid: upload.invalid,
    });
  if (lastVersionOf(file.intake) < (file.snapshot_version ?? 0))
    return settle(queries, term, {
      fileId: upload.fileId,
      sha256: upload.sha256,
      answer: {
        ...noRows,
        kind: 'applied',
        rows: upload.rows,
        applied: file.applied,
        stale: Math.max(0, staged.rows - file.applied),
        invalid: upload.invalid,
        problems: [
          ...upload.problems,
          'a newer snapshot of the source was applied before: nothing of this one is news',
        ],
      },
    });
  if (isCrawl && staged.missing > 0 && file.opened_for_s < crawlMessagesWithinS)
    throw new Failure(
      'FILE_EARLY',
      `${file.name}: ${staged.missing} items of the crawl are still on their way as messages`,
    );

  await applyRows(queries, term, { ...file, ...upload, source: source.name, isCrawl });
  const snapshot = { ...file, ...upload, source: source.name, firstPlace: staged.firstPlace };
  const ranges = isSnapshot ? await lookAtItems(queries, snapshot) : [];
  const incomplete = isSnapshot ? whyIncomplete(upload, ranges, source) : null;
  const isWhole = isSnapshot && incomplete === null;
  if (isWhole) await markVanished(queries, term, snapshot, ranges);
  const counts = await countRows(queries, upload, file.intake);
  return settle(queries, term, {
    fileId: upload.fileId,
    sha256: upload.sha256,
    answer: {
      ...noRows,
      kind: 'applied',
      rows: upload.rows,
      ...counts,
      invalid: upload.invalid + counts.invalid,
      differences: isCrawl ? counts.applied + counts.invalid : 0,
      problems: [...upload.problems],
      incomplete,
    },
    snapshot: isWhole ? { source: source.name, upTo: lastVersionOf(file.intake) } : undefined,
  });
}

/** The staging table does not outlive a crash of the database; the file does, so it is asked for again. */
function assertAllStaged({ rows, invalid }: Upload, left: number): void {
  if (left !== rows - invalid) throw rowsLost(`${left} of ${rows - invalid} staged rows are left`);
}
function rowsLost(what: string): Failure {
  return new Failure('FILE_TRUNCATED', `${what}: the database restarted meanwhile`);
}

/** With the first of them: who wrote the file mostly made the same mistake in each. */
function tooManyBadRows({ rows, invalid, problems }: Upload, source: Source): string | null {
  const shareMax = source.kind === 'partner' ? source.badRowsShareMax : badRowsShareMaxDefault;
  return rows > 0 && invalid / rows > shareMax
    ? [
        `${invalid} of ${rows} rows are bad, at most ${Math.round(shareMax * 100)} % may be`,
        ...problems.slice(0, 1),
      ].join('; ')
    : null;
}

const noRows = {
  reason: null,
  rows: 0,
  applied: 0,
  unchanged: 0,
  stale: 0,
  invalid: 0,
  vanished: 0,
  differences: 0,
  problems: [],
  incomplete: null,
} satisfies Omit<FileAnswer, 'kind'>;

async function rejectFile(
  queries: Queries,
  term: number,
  {
    fileId,
    reason,
    problems,
    rows = 0,
    invalid = 0,
  }: { fileId: string; reason: string; problems: readonly string[]; rows?: number; invalid?: number },
): Promise<FileAnswer> {
  return settle(queries, term, {
    fileId,
    sha256: null,
    answer: { ...noRows, kind: 'rejected', reason, rows, invalid, problems: [...problems] },
  });
}

/** ftp-sync may have rejected it by itself: then there is a reason and no answer. */
function standingAnswer({ answer, reason }: { answer: unknown; reason: string | null }): FileAnswer {
  return answer === null ? { ...noRows, kind: 'rejected', reason } : fileAnswerSchema.parse(answer);
}

async function readLedger(queries: Queries, fileId: string): Promise<LedgerRow | undefined> {
  const [row] = await queries.query<LedgerRow>(
    'reading the ledger',
    `SELECT files.name, files.size, files.intake, files.state, files.answer, files.reason, files.traceparent, files.applied,
       files.set_right, files.vanished, sources.definition, sources.snapshot_version,
       CASE sources.definition->>'kind' WHEN 'partner' THEN sources.definition->>'currency' END AS currency,
       extract(epoch FROM clock_timestamp() - files.opened_at)::float8 AS opened_for_s
     FROM files LEFT JOIN sources ON sources.name = source_of_file(files.name)
     WHERE files.file_id = $1`,
    [fileId],
  );
  return row;
}

interface StagedCounts {
  firstPlace: number | null;
  rows: number;
  /** Not stored as new as this. */
  missing: number;
  /** With a version that no item of this intake can have. */
  beyond: number;
  /** Stored in this very version, with this content and with another one. */
  same: number;
  reused: number;
}

const lookStatement = `SELECT min(s.place) AS "firstPlace", count(*) AS rows,
    count(*) FILTER (WHERE i.version IS NULL OR i.version < s.version) AS missing,
    count(*) FILTER (WHERE s.version > $4) AS beyond,
    count(*) FILTER (WHERE i.version = s.version AND ${contentOf('i')} IS NOT DISTINCT FROM ${contentOf('s')}) AS same,
    count(*) FILTER (WHERE i.version = s.version AND ${contentOf('i')} IS DISTINCT FROM ${contentOf('s')}) AS reused
  FROM staged_rows AS s LEFT JOIN items AS i ON i.source = s.source AND i.sku = s.sku
  WHERE s.upload = $1 AND s.place > $2 AND s.place <= $3`;

/** How the rows of an upload compare with what is stored, before they are applied and after. */
async function lookAtStaged(queries: Queries, upload: Upload, intake: number): Promise<StagedCounts> {
  const sum: StagedCounts = { firstPlace: null, rows: 0, missing: 0, beyond: 0, same: 0, reused: 0 };
  for (const [after, last] of rangesOf(upload.rows)) {
    const [range] = await queries.query<StagedCounts & Record<string, unknown>>(
      'looking at staged rows',
      lookStatement,
      [upload.upload, after, last, lastVersionOf(intake)],
    );
    if (!range) throw new Error('looking at staged rows answered nothing');
    sum.firstPlace ??= range.firstPlace;
    for (const count of ['rows', 'missing', 'beyond', 'same', 'reused'] as const) sum[count] += range[count];
  }
  return sum;
}

/** Looks a few times while messages of the crawl are missing that may be a moment late. */
async function lookWithMessages(
  queries: Queries,
  upload: Upload,
  { intake, isCrawl, opened_for_s: openedForS }: LedgerRow & { isCrawl: boolean },
): Promise<StagedCounts> {
  for (const afterMs of crawlLooksAfterMs) {
    const staged = await lookAtStaged(queries, upload, intake);
    const isEarly = isCrawl && staged.missing > 0 && staged.beyond === 0;
    if (!isEarly || openedForS >= crawlMessagesWithinS) return staged;
    await pause(afterMs);
  }
  return await lookAtStaged(queries, upload, intake);
}

/** Of places: after the one, up to the other. Told by both ends, so that no plan reads more than it is asked for. */
function* rangesOf(places: number): Generator<[after: number, last: number]> {
  for (let after = 0; after < places; after += rowsPerStatement) yield [after, after + rowsPerStatement];
}

/** By the statement that does it, or a try after one that broke off would find rows as they are, and nobody who brought them. */
const counted = (column: 'applied' | 'set_right' | 'vanished', fileId: string): string => `counted AS (
    UPDATE files SET ${column} = files.${column} + (SELECT count(*) FROM recorded)
    FROM fence_held WHERE files.file_id = ${fileId} AND EXISTS (SELECT FROM recorded)
  )`;

const stagedStatement = writeStatement({
  given: `SELECT ${itemColumns}, $4::text AS traceparent, place
  FROM staged_rows WHERE upload = $2 AND place > $3 AND place <= $5`,
  applied: upsertUnless('$6 < sources.snapshot_version'),
  repeats: 'silent',
  also: counted('applied', '$7::uuid'),
});

/** Rows of one key in two statements come in the order of the file, so the later one wins. */
async function applyRows(
  queries: Queries,
  term: number,
  file: Upload & { source: string; intake: number; traceparent: string; isCrawl: boolean },
): Promise<void> {
  let seen = 0;
  for (const [after, last] of rangesOf(file.rows)) {
    const range = await write(queries, 'applying staged rows', stagedStatement, [
      term,
      file.upload,
      after,
      file.traceparent,
      last,
      lastVersionOf(file.intake),
      file.fileId,
    ]);
    seen += range.given;
  }
  assertAllStaged(file, seen);
  if (file.isCrawl) await setCrawlRight(queries, term, file);
}

/** Of all tries together. */
async function countRows(
  queries: Queries,
  upload: Upload,
  intake: number,
): Promise<Pick<FileAnswer, 'applied' | 'unchanged' | 'stale' | 'invalid' | 'vanished'>> {
  const { rows, same, reused } = await lookAtStaged(queries, upload, intake);
  assertAllStaged(upload, rows);
  const file = await readLedger(queries, upload.fileId);
  if (!file) throw new Failure('NOT_FOUND', `there is no file ${upload.fileId}`);
  const { applied, set_right: setRight, vanished } = file;
  const unchanged = Math.max(0, same - applied);
  return {
    applied: applied + setRight,
    unchanged,
    stale: Math.max(0, rows - applied - setRight - unchanged - reused),
    invalid: reused,
    vanished,
  };
}

/** Why what a snapshot does not name has not vanished for that; null when it has. */
function whyIncomplete(
  { rows, invalid }: Upload,
  ranges: readonly Range[],
  { name, kind, vanishShareMax }: Source,
): string | null {
  // Their items are in the snapshot, and nobody can say which they are.
  if (invalid > 0)
    return `${invalid} of ${rows} rows are bad, so that the others do not tell what vanished: nothing did`;
  const there = ranges.reduce((sum, range) => sum + range.there, 0);
  const missing = ranges.reduce((sum, range) => sum + range.missing, 0);
  if (there < vanishJudgedFrom || missing / there <= vanishShareMax) return null;
  const next = kind === 'shop' ? 'crawl' : 'file';
  return `it does not name ${missing} of ${there} items, and ${Math.round(vanishShareMax * 100)} % may vanish at once: none did. If they are gone, set vanishShareMax of ${name} to 1, and they vanish by the next ${next}; if not, the next ${next} that names them sets it right`;
}

// What a message of the crawl itself brought was there: its page may be one that could not be read again. $9: its first version.
// An update of the row as it is when its lock is had, not an upsert of what a snapshot showed before a wait. Should the
// staging table lose its rows meanwhile, everything would look vanished. It loses all of them when the database dies, and the
// oldest first by retention: while the first one is there, all are.
const vanishStatement = writeStatement({
  given: `SELECT source, sku FROM items
    WHERE source = $2 AND NOT vanished AND version < $9 AND sku > $7 AND ($8::text IS NULL OR sku <= $8)
      AND EXISTS (SELECT FROM staged_rows WHERE upload = $3 AND place = $6)
      AND NOT EXISTS (SELECT FROM staged_rows AS s WHERE s.upload = $3 AND s.source = items.source AND s.sku = items.sku
        OFFSET 0) -- A look at the index for each item: of joins the planner chose one that compared all with all.
    ORDER BY source, sku FOR UPDATE`,
  applied: `applied AS (
    UPDATE items SET vanished = true, in_stock = false, version = $5, term = fence_held.term, traceparent = $4, changed_at = clock_timestamp()
    FROM given, fence_held
    WHERE items.source = given.source AND items.sku = given.sku AND NOT items.vanished AND items.version < $9
    RETURNING ${writtenColumns}
  )`,
  repeats: 'recorded',
  also: counted('vanished', '$10::uuid'),
});

const setRightStatement = writeStatement({
  given: `SELECT staged_rows.* FROM staged_rows JOIN items USING (source, sku)
    WHERE staged_rows.upload = $3 AND staged_rows.place > $6 AND staged_rows.place <= $7 AND source = $2
      AND items.version > staged_rows.version AND items.version < $5
      AND ${contentOf('items')} IS DISTINCT FROM ${contentOf('staged_rows')}
    ORDER BY source, sku FOR UPDATE OF items`,
  applied: `applied AS (
    UPDATE items SET ${contentFrom('given')},
      version = $5, term = fence_held.term, traceparent = $4, changed_at = clock_timestamp()
    FROM given, fence_held
    WHERE items.source = given.source AND items.sku = given.sku AND items.version < $5
    RETURNING ${writtenColumns}
  )`,
  repeats: 'recorded',
  also: counted('set_right', '$8::uuid'),
});

interface Snapshot {
  readonly fileId: string;
  readonly upload: string;
  readonly source: string;
  readonly intake: number;
  readonly traceparent: string;
  readonly firstPlace: number | null;
}

/** Of keys, however few of their items matter: after the one, up to the other, or to the last. */
interface Range {
  readonly after: string;
  readonly end: string | null;
  readonly there: number;
  readonly missing: number;
}

async function lookAtItems(queries: Queries, file: Snapshot): Promise<Range[]> {
  const ranges: Range[] = [];
  for (let after: string | null = ''; after !== null;) {
    const [range]: Omit<Range, 'after'>[] = await queries.query(
      'looking at the items of a source',
      'SELECT "end", there, missing FROM look_at_range($1, $2, $3, $4, $5)',
      [file.source, after, rowsPerStatement, file.upload, itemVersion({ intake: file.intake, ordinal: 0 })],
    );
    if (!range) throw new Error('looking at the items of a source answered nothing');
    ranges.push({ after, ...range });
    after = range.end;
  }
  return ranges;
}

/** What a snapshot no longer names, at the last version of its intake: newer intakes have touched nothing of it. */
async function markVanished(
  queries: Queries,
  term: number,
  file: Snapshot,
  ranges: readonly Range[],
): Promise<void> {
  for (const { after, end } of ranges)
    await write(queries, 'marking what vanished', vanishStatement, [
      term,
      file.source,
      file.upload,
      file.traceparent,
      lastVersionOf(file.intake),
      file.firstPlace,
      after,
      end,
      itemVersion({ intake: file.intake, ordinal: 0 }),
      file.fileId,
    ]);
  const first = await queries.query(
    'looking at staged rows',
    'SELECT FROM staged_rows WHERE upload = $1 AND place = $2',
    [file.upload, file.firstPlace],
  );
  if (first.length === 0) throw rowsLost('staged rows are gone');
}

/**
 * What a crawl file names and stands otherwise, at the last version of its intake. A crawl says an item it saw unchanged with
 * the version of old. That would never undo a mark that was wrong, such as one of a file that two workers deposited; nor what
 * a worker published that died before anybody knew of it, where the shop has taken it back since.
 */
async function setCrawlRight(
  queries: Queries,
  term: number,
  file: Upload & { source: string; intake: number; traceparent: string },
): Promise<void> {
  for (const [after, last] of rangesOf(file.rows))
    await write(queries, 'setting right what differs from a crawl', setRightStatement, [
      term,
      file.source,
      file.upload,
      file.traceparent,
      lastVersionOf(file.intake),
      after,
      last,
      file.fileId,
    ]);
}

/** Once nobody applies them any more. What a node that died leaves is swept in the end. */
async function clearStaged(queries: Queries, upload: string): Promise<void> {
  const [staged] = await queries.query<{ last: number | null }>(
    'clearing the staged rows',
    'SELECT max(place) AS last FROM staged_rows WHERE upload = $1',
    [upload],
  );
  for (const [after, last] of rangesOf(staged?.last ?? 0))
    await queries.query(
      'clearing the staged rows',
      'DELETE FROM staged_rows WHERE upload = $1 AND place > $2 AND place <= $3',
      [upload, after, last],
    );
}

/** Answers what stands: another upload of the file may have been faster. */
async function settle(
  queries: Queries,
  term: number,
  {
    fileId,
    sha256,
    answer,
    snapshot,
  }: {
    fileId: string;
    sha256: string | null;
    answer: FileAnswer;
    /** What it told all of, and up to which version. */
    snapshot?: { source: string; upTo: number } | undefined;
  },
): Promise<FileAnswer> {
  const [standing] = await queries.query<{ answer: unknown; reason: string | null }>(
    'writing the ledger',
    'SELECT answer, reason FROM settle_file($1, $2, $3, $4, $5, $6, $7, $8)',
    [
      term,
      fileId,
      answer.kind,
      answer.reason,
      sha256,
      JSON.stringify(fileAnswerSchema.parse(answer)),
      snapshot?.source ?? null,
      snapshot?.upTo ?? null,
    ],
  );
  if (!standing) throw new Error('writing the ledger answered nothing');
  return standingAnswer(standing);
}
