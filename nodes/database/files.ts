// Files: the ledger row before the upload, rows staged as they arrive, judged, and applied by fenced statements of bounded
// size, the ledger last. A file that is taken up again after any failure ends in the same state.
import { parseFileName } from '../../contracts/file.ts';
import { lastVersionOf } from '../../contracts/ids.ts';
import {
  fileAnswerSchema,
  type FileAnswer,
  type FileOpenAnswer,
  type FileOpenRequest,
} from '../../contracts/node-api.ts';
import { sourceSchema, type Source } from '../../contracts/source.ts';
import { Failure } from '../../runtime/failure.ts';
import type { FileStore, StagedRow } from '../store.ts';
import type { Queries } from './pool.ts';
import { upsert, write, writeStatement, writtenColumns, type WriteAnswer } from './write-items.ts';

const rowsPerStatement = 5_000; // At most 10,000, so that a claim never waits long for one.
const stagedRowsMax = 10_000;
const badRowsShareMaxDefault = 0.1;
/** A crawl file may overtake the messages of its crawl, which is told from a loss by waiting this long. */
const crawlMessagesWithinS = 120;
const crawlRetryMs = 3_000;

export function fileQueries(queries: Queries): FileStore {
  return {
    openFile: (term, request) => openFile(queries, term, request),
    fileIntake: (fileId) => fileIntake(queries, fileId),
    stageRows: (upload, rows) => stageRows(queries, upload, rows),
    applyUpload: (term, upload) => applyUpload(queries, term, upload),
    rejectFile: (term, file) => rejectFile(queries, term, file),
    async fileOutcome(term, fileId, { movedTo, reason }) {
      await queries.query('noting where a file was moved', 'SELECT move_file($1, $2, $3, $4)', [
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
  }>(
    `opening ${request.name}`,
    'SELECT file_id, intake, state, reason FROM open_file($1, $2, $3, $4, $5, $6, $7, $8)',
    [
      term,
      request.name,
      request.size,
      request.modifiedAt,
      request.traceparent,
      name?.source ?? null,
      name?.crawlIntake ?? null,
      name
        ? null
        : 'its name says no source or no known format: <source>_<anything>.<csv|ndjson|json>[.gz] is read',
    ],
  );
  if (!opened) throw new Error(`opening ${request.name} answered nothing`);
  const { file_id: fileId, intake, state, reason } = opened;
  if (state === 'applied') return { kind: 'done', fileId };
  if (state === 'rejected') return { kind: 'rejected', fileId, reason: reason ?? 'rejected before' };
  return { kind: 'upload', fileId, intake };
}

async function fileIntake(
  queries: Queries,
  fileId: string,
): Promise<{ name: string; intake: number; size: number; settled?: FileAnswer } | undefined> {
  const file = await readLedger(queries, fileId);
  if (!file) return undefined;
  const { name, intake, size, state } = file;
  return { name, intake, size, ...(state === 'opened' ? {} : { settled: standingAnswer(file) }) };
}

/** Not fenced: nobody reads these rows before a fenced statement applies them. */
async function stageRows(queries: Queries, upload: string, rows: readonly StagedRow[]): Promise<void> {
  if (rows.length > stagedRowsMax)
    throw new Error(
      `${rows.length} rows are to be staged in one transaction, at most ${stagedRowsMax} may be`,
    );
  const column = <T>(read: (row: StagedRow) => T): T[] => rows.map(read);
  await queries.query(
    `staging ${rows.length} rows`,
    `INSERT INTO staged_rows (upload, place, source, sku, version, title, url, image_url, price, currency, in_stock, stock, vanished)
     SELECT $1, * FROM unnest($2::integer[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::numeric[],
       $10::text[], $11::boolean[], $12::integer[], $13::boolean[])`,
    [
      upload,
      column(({ row }) => row),
      column(({ item }) => item.source),
      column(({ item }) => item.sku),
      column(({ item }) => item.version),
      column(({ item }) => item.title),
      column(({ item }) => item.url),
      column(({ item }) => item.imageUrl),
      column(({ item }) => item.price),
      column(({ item }) => item.currency),
      column(({ item }) => item.inStock),
      column(({ item }) => item.stock),
      column(({ item }) => item.vanished),
    ],
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
  opened_for_s: number;
}

/**
 * Done again after any failure it ends the same: rows have their versions from the file, and a ledger row is settled once.
 * @throws Failure STALE_TERM, BUSY when a crawl's messages are still on their way, FILE_TRUNCATED when staged rows were lost.
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

  const staged = await judgeStaged(queries, upload.upload, file.intake);
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
  if (isCrawl && staged.missing > 0 && file.opened_for_s < crawlMessagesWithinS)
    throw new Failure(
      'BUSY',
      `${file.name}: ${staged.missing} items of the crawl are still on their way as messages`,
      { details: { retryAfterMs: crawlRetryMs } },
    );

  const counts = await applyRows(queries, term, upload, file.traceparent);
  if (isCrawl) {
    // All of them were stale: what stood had the version of a file.
    const returned = await bringBack(queries, term, { ...upload, ...file, source: source.name });
    counts.applied += returned;
    counts.stale = Math.max(0, counts.stale - returned);
  }
  const problems = [...upload.problems];
  let vanished = 0;
  if (isSnapshot && upload.invalid > 0)
    // Their items are in the snapshot, and nobody can say which they are.
    problems.push('with bad rows among them, the rows do not tell what vanished');
  else if (isSnapshot)
    vanished = await markVanished(queries, term, { ...upload, ...file, source: source.name });
  const answer = await settle(queries, term, {
    fileId: upload.fileId,
    sha256: upload.sha256,
    answer: {
      ...noRows,
      kind: 'applied',
      rows: upload.rows,
      ...counts,
      invalid: upload.invalid + counts.invalid,
      vanished,
      differences: isCrawl ? counts.applied + counts.invalid : 0,
      problems,
    },
  });
  await clearStaged(queries, upload.upload);
  return answer;
}

/** The staging table does not outlive a crash of the database; the file does, so it is asked for again. */
function assertAllStaged({ rows, invalid }: Upload, left: number): void {
  if (left !== rows - invalid)
    throw new Failure(
      'FILE_TRUNCATED',
      `${left} of ${rows - invalid} staged rows are left: the database restarted meanwhile`,
    );
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
    `SELECT files.name, files.size, files.intake, files.state, files.answer, files.reason, files.traceparent, sources.definition,
       extract(epoch FROM clock_timestamp() - files.opened_at)::float8 AS opened_for_s
     FROM files LEFT JOIN sources ON sources.name = substring(files.name FROM '^[a-z0-9-]+')
     WHERE files.file_id = $1`,
    [fileId],
  );
  return row;
}

/** `missing`: not stored as new as this. `beyond`: with a version that no item of this intake can have. */
async function judgeStaged(
  queries: Queries,
  upload: string,
  intake: number,
): Promise<{ rows: number; missing: number; beyond: number }> {
  const [row] = await queries.query<{ rows: number; missing: number; beyond: number }>(
    'looking at staged rows',
    `SELECT count(*) AS rows, count(*) FILTER (WHERE items.version IS NULL OR items.version < staged_rows.version) AS missing,
       count(*) FILTER (WHERE staged_rows.version > $2) AS beyond
     FROM staged_rows LEFT JOIN items USING (source, sku) WHERE staged_rows.upload = $1`,
    [upload, lastVersionOf(intake)],
  );
  return row ?? { rows: 0, missing: 0, beyond: 0 };
}

const stagedStatement = writeStatement({
  given: `SELECT source, sku, version, title, url, image_url, price, currency, in_stock, stock, vanished, $4::text AS traceparent, place
  FROM staged_rows WHERE upload = $2 AND place > $3 ORDER BY place LIMIT ${rowsPerStatement}`,
  applied: upsert,
  repeats: 'silent',
});

/** Rows of one key in two statements come in the order of the file, so the later one wins. */
async function applyRows(
  queries: Queries,
  term: number,
  upload: Upload,
  traceparent: string,
): Promise<{ applied: number; unchanged: number; stale: number; invalid: number }> {
  let applied = 0;
  let seen = 0;
  for (let last: number | null = 0; ;) {
    const chunk: WriteAnswer = await write(queries, 'applying staged rows', stagedStatement, [
      term,
      upload.upload,
      last,
      traceparent,
    ]);
    if (chunk.last_place === null) break;
    last = chunk.last_place;
    seen += chunk.given;
    applied += chunk.applied.length;
  }
  assertAllStaged(upload, seen);
  const [present] = await queries.query<{ same: number; reused: number }>(
    'judging staged rows',
    `SELECT count(*) FILTER (WHERE (i.title, i.url, i.image_url, i.price, i.currency, i.in_stock, i.stock, i.vanished)
         IS NOT DISTINCT FROM (s.title, s.url, s.image_url, s.price, s.currency, s.in_stock, s.stock, s.vanished)) AS same,
       count(*) FILTER (WHERE (i.title, i.url, i.image_url, i.price, i.currency, i.in_stock, i.stock, i.vanished)
         IS DISTINCT FROM (s.title, s.url, s.image_url, s.price, s.currency, s.in_stock, s.stock, s.vanished)) AS reused
     FROM staged_rows AS s JOIN items AS i ON i.source = s.source AND i.sku = s.sku AND i.version = s.version WHERE s.upload = $1`,
    [upload.upload],
  );
  const same = present?.same ?? 0;
  const reused = present?.reused ?? 0;
  const unchanged = Math.max(0, same - applied);
  return { applied, unchanged, invalid: reused, stale: Math.max(0, seen - applied - unchanged - reused) };
}

// An update of the row as it is when its lock is had, not an upsert of what a snapshot showed before a wait. Should the
// staging table lose its rows meanwhile, everything would look vanished: they are counted in the same statement.
const vanishStatement = writeStatement({
  given: `SELECT source, sku, 1 AS place FROM items
    WHERE source = $2 AND NOT vanished AND version < $5
      AND (SELECT count(*) FROM staged_rows WHERE upload = $3) = $6
      AND NOT EXISTS (SELECT FROM staged_rows WHERE upload = $3 AND staged_rows.source = items.source AND staged_rows.sku = items.sku)
    ORDER BY source, sku LIMIT ${rowsPerStatement} FOR UPDATE`,
  applied: `applied AS (
    UPDATE items SET vanished = true, in_stock = false, version = $5, term = fence_held.term, traceparent = $4, changed_at = clock_timestamp()
    FROM given, fence_held
    WHERE items.source = given.source AND items.sku = given.sku AND NOT items.vanished AND items.version < $5
    RETURNING ${writtenColumns}
  )`,
  repeats: 'recorded',
});

const returnStatement = writeStatement({
  given: `SELECT staged_rows.* FROM staged_rows JOIN items USING (source, sku)
    WHERE staged_rows.upload = $3 AND source = $2 AND NOT staged_rows.vanished AND items.vanished AND items.version < $5
    ORDER BY source, sku LIMIT ${rowsPerStatement} FOR UPDATE OF items`,
  applied: `applied AS (
    UPDATE items SET vanished = false, title = given.title, url = given.url, image_url = given.image_url, price = given.price,
      currency = given.currency, in_stock = given.in_stock, stock = given.stock,
      version = $5, term = fence_held.term, traceparent = $4, changed_at = clock_timestamp()
    FROM given, fence_held
    WHERE items.source = given.source AND items.sku = given.sku AND items.vanished AND items.version < $5
    RETURNING ${writtenColumns}
  )`,
  repeats: 'recorded',
});

/** What a snapshot no longer names, at the last version of its intake: newer intakes have touched nothing of it. */
async function markVanished(
  queries: Queries,
  term: number,
  file: Upload & { source: string; intake: number; traceparent: string },
): Promise<number> {
  let vanished = 0;
  for (;;) {
    const { given, applied } = await write(queries, 'marking what vanished', vanishStatement, [
      term,
      file.source,
      file.upload,
      file.traceparent,
      lastVersionOf(file.intake),
      file.rows - file.invalid,
    ]);
    vanished += applied.length;
    if (given < rowsPerStatement) break;
  }
  assertAllStaged(file, (await judgeStaged(queries, file.upload, file.intake)).rows);
  return vanished;
}

/**
 * What a crawl file names and stands as vanished, at the last version of its intake. A crawl says an item it saw unchanged with
 * the version of old, which would never undo a mark that was wrong, such as one of a file that two workers deposited.
 */
async function bringBack(
  queries: Queries,
  term: number,
  file: Upload & { source: string; intake: number; traceparent: string },
): Promise<number> {
  let returned = 0;
  for (;;) {
    const { given, applied } = await write(queries, 'bringing back what is there', returnStatement, [
      term,
      file.source,
      file.upload,
      file.traceparent,
      lastVersionOf(file.intake),
    ]);
    returned += applied.length;
    if (given < rowsPerStatement) return returned;
  }
}

/** In bounded steps. What is left after a failure is swept after a day. */
async function clearStaged(queries: Queries, upload: string): Promise<void> {
  for (;;) {
    const [row] = await queries.query<{ cleared: number }>(
      'clearing the staged rows',
      `WITH cleared AS (DELETE FROM staged_rows WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM staged_rows WHERE upload = $1 LIMIT ${stagedRowsMax})) RETURNING 1)
       SELECT count(*) AS cleared FROM cleared`,
      [upload],
    );
    if ((row?.cleared ?? 0) < stagedRowsMax) return;
  }
}

/** Answers what stands: another upload of the file may have been faster. */
async function settle(
  queries: Queries,
  term: number,
  { fileId, sha256, answer }: { fileId: string; sha256: string | null; answer: FileAnswer },
): Promise<FileAnswer> {
  const [standing] = await queries.query<{ answer: unknown; reason: string | null }>(
    'writing the ledger',
    'SELECT answer, reason FROM settle_file($1, $2, $3, $4, $5, $6)',
    [term, fileId, answer.kind, answer.reason, sha256, JSON.stringify(fileAnswerSchema.parse(answer))],
  );
  if (!standing) throw new Error('writing the ledger answered nothing');
  return standingAnswer(standing);
}
