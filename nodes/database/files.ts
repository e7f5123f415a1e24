// Files: the ledger row before the upload, rows staged as they arrive, judged, and applied by fenced statements of bounded
// size, the ledger last. A file that is taken up again after any failure ends in the same state.
import { parseFileName } from '../../contracts/file.ts';
import { itemVersion } from '../../contracts/ids.ts';
import {
  fileAnswerSchema,
  type FileAnswer,
  type FileOpenAnswer,
  type FileOpenRequest,
} from '../../contracts/node-api.ts';
import { sourceSchema } from '../../contracts/source.ts';
import { Failure } from '../../runtime/failure.ts';
import type { StagedRow } from '../store.ts';
import type { Queries } from './pool.ts';
import { write, writeStatement } from './write-items.ts';

const rowsPerStatement = 5_000; // At most 10,000, so that a claim never waits long for one.
const badRowsShareMaxDefault = 0.1;
const lastOrdinal = 2 ** 24 - 1;
/** A crawl file may overtake the messages of its crawl, which is told from a loss by waiting this long. */
const crawlMessagesWithinS = 120;
const crawlRetryMs = 3_000;

export async function openFile(
  queries: Queries,
  term: number,
  request: FileOpenRequest,
): Promise<FileOpenAnswer> {
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

export async function fileIntake(
  queries: Queries,
  fileId: string,
): Promise<{ name: string; intake: number; size: number } | undefined> {
  const [file] = await queries.query<{ name: string; intake: number; size: number }>(
    'reading the ledger',
    "SELECT name, intake, size FROM files WHERE file_id = $1 AND state = 'opened'",
    [fileId],
  );
  return file;
}

/** Not fenced: nobody reads these rows before a fenced statement applies them. */
export async function stageRows(queries: Queries, upload: string, rows: readonly StagedRow[]): Promise<void> {
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

export interface Upload {
  readonly fileId: string;
  readonly upload: string;
  readonly sha256: string;
  readonly rows: number;
  readonly invalid: number;
  readonly problems: readonly string[];
}
interface LedgerRow extends Record<string, unknown> {
  name: string;
  intake: number;
  state: string;
  traceparent: string;
  definition: unknown;
  crawl_age_s: number | null;
}

/** @throws Failure STALE_TERM, BUSY when a crawl's messages are still on their way, FILE_TRUNCATED when staged rows were lost. */
export async function applyUpload(queries: Queries, term: number, upload: Upload): Promise<FileAnswer> {
  const file = await readLedger(queries, upload.fileId);
  const name = parseFileName(file.name);
  const source = sourceSchema.parse(file.definition);
  const shareMax = source.kind === 'partner' ? source.badRowsShareMax : badRowsShareMaxDefault;
  if (upload.rows > 0 && upload.invalid / upload.rows > shareMax)
    return rejectFile(queries, term, {
      fileId: upload.fileId,
      reason: `${upload.invalid} of ${upload.rows} rows are bad, at most ${Math.round(shareMax * 100)} % may be`,
      problems: upload.problems,
      rows: upload.rows,
      invalid: upload.invalid,
    });
  const isCrawl = name?.crawlIntake !== undefined;
  if (isCrawl && (file.crawl_age_s ?? 0) < crawlMessagesWithinS) {
    const missing = await countMissing(queries, upload.upload);
    if (missing > 0)
      throw new Failure(
        'BUSY',
        `${file.name}: ${missing} items of the crawl are still on their way as messages`,
        {
          details: { retryAfterMs: crawlRetryMs },
        },
      );
  }
  const counts = await applyRows(queries, term, upload, file.traceparent);
  const vanished =
    isCrawl || (source.kind === 'partner' && source.snapshot)
      ? await markVanished(queries, term, upload.upload, { ...file, source: source.name })
      : 0;
  const answer: FileAnswer = {
    kind: 'applied',
    reason: null,
    rows: upload.rows,
    ...counts,
    invalid: upload.invalid + counts.invalid,
    vanished,
    differences: isCrawl ? counts.applied : 0,
    problems: [...upload.problems],
  };
  await settle(queries, term, {
    fileId: upload.fileId,
    state: 'applied',
    reason: null,
    sha256: upload.sha256,
    answer,
  });
  await queries.query('clearing the staged rows', 'DELETE FROM staged_rows WHERE upload = $1', [
    upload.upload,
  ]);
  return answer;
}

export async function rejectFile(
  queries: Queries,
  term: number,
  file: { fileId: string; reason: string; problems: readonly string[]; rows?: number; invalid?: number },
): Promise<FileAnswer> {
  const answer: FileAnswer = {
    kind: 'rejected',
    reason: file.reason,
    rows: file.rows ?? 0,
    applied: 0,
    unchanged: 0,
    stale: 0,
    invalid: file.invalid ?? 0,
    vanished: 0,
    differences: 0,
    problems: [...file.problems],
  };
  await settle(queries, term, {
    fileId: file.fileId,
    state: 'rejected',
    reason: file.reason,
    sha256: null,
    answer,
  });
  return answer;
}

export async function fileOutcome(
  queries: Queries,
  term: number,
  fileId: string,
  { movedTo, reason }: { movedTo: string; reason: string | null },
): Promise<void> {
  await queries.query('noting where a file was moved', 'SELECT move_file($1, $2, $3, $4)', [
    term,
    fileId,
    movedTo,
    reason,
  ]);
}

async function readLedger(queries: Queries, fileId: string): Promise<LedgerRow> {
  const [row] = await queries.query<LedgerRow>(
    'reading the ledger',
    `SELECT files.name, files.intake, files.state, files.traceparent, sources.definition,
       CASE WHEN crawls.status = 'finished' THEN extract(epoch FROM clock_timestamp() - crawls.changed_at)::float8 END AS crawl_age_s
     FROM files LEFT JOIN sources ON sources.name = substring(files.name FROM '^[a-z0-9-]+')
     LEFT JOIN crawls ON crawls.source = sources.name AND crawls.intake = files.intake
     WHERE files.file_id = $1`,
    [fileId],
  );
  if (!row) throw new Failure('NOT_FOUND', `there is no file ${fileId}`);
  return row;
}

async function countMissing(queries: Queries, upload: string): Promise<number> {
  const [row] = await queries.query<{ missing: number }>(
    'comparing a crawl file',
    `SELECT count(*) AS missing FROM staged_rows LEFT JOIN items USING (source, sku)
     WHERE staged_rows.upload = $1 AND (items.version IS NULL OR items.version < staged_rows.version)`,
    [upload],
  );
  return row?.missing ?? 0;
}

const stagedStatement = writeStatement(`
  SELECT source, sku, version, title, url, image_url, price, currency, in_stock, stock, vanished, $4::text AS traceparent, place
  FROM staged_rows WHERE upload = $2 AND place > $3 ORDER BY place LIMIT ${rowsPerStatement}`);

/** Rows of one key in two statements come in the order of the file, so the later one wins. */
async function applyRows(
  queries: Queries,
  term: number,
  { upload, rows, invalid }: Upload,
  traceparent: string,
): Promise<{ applied: number; unchanged: number; stale: number; invalid: number }> {
  let applied = 0;
  let seen = 0;
  let last = 0;
  for (;;) {
    const chunk = await write(queries, 'applying staged rows', stagedStatement, [
      term,
      upload,
      last,
      traceparent,
    ]);
    if (chunk.given === 0) break;
    seen += chunk.given;
    applied += chunk.applied.length;
    const [end] = await queries.query<{ place: number }>(
      'applying staged rows',
      `SELECT max(place) AS place FROM (SELECT place FROM staged_rows WHERE upload = $1 AND place > $2 ORDER BY place LIMIT ${rowsPerStatement}) AS chunk`,
      [upload, last],
    );
    last = end?.place ?? Number.MAX_SAFE_INTEGER;
  }
  // The staging table does not outlive a crash of the database; the file does, so it is asked for again.
  if (seen !== rows - invalid)
    throw new Failure(
      'FILE_TRUNCATED',
      `${seen} of ${rows - invalid} staged rows are left: the database restarted meanwhile`,
    );
  const [present] = await queries.query<{ same: number; reused: number }>(
    'judging staged rows',
    `SELECT count(*) FILTER (WHERE (i.title, i.url, i.image_url, i.price, i.currency, i.in_stock, i.stock, i.vanished)
         IS NOT DISTINCT FROM (s.title, s.url, s.image_url, s.price, s.currency, s.in_stock, s.stock, s.vanished)) AS same,
       count(*) FILTER (WHERE (i.title, i.url, i.image_url, i.price, i.currency, i.in_stock, i.stock, i.vanished)
         IS DISTINCT FROM (s.title, s.url, s.image_url, s.price, s.currency, s.in_stock, s.stock, s.vanished)) AS reused
     FROM staged_rows AS s JOIN items AS i ON i.source = s.source AND i.sku = s.sku AND i.version = s.version WHERE s.upload = $1`,
    [upload],
  );
  const same = present?.same ?? 0;
  const reused = present?.reused ?? 0;
  const unchanged = Math.max(0, same - applied);
  return { applied, unchanged, invalid: reused, stale: Math.max(0, seen - applied - unchanged - reused) };
}

const vanishStatement = writeStatement(`
  SELECT i.source, i.sku, $5::bigint AS version, i.title, i.url, i.image_url, i.price, i.currency, false AS in_stock, i.stock, true AS vanished,
    $4::text AS traceparent, row_number() OVER (ORDER BY i.sku) AS place
  FROM items AS i
  WHERE i.source = $2 AND NOT i.vanished AND i.version < $5
    AND NOT EXISTS (SELECT FROM staged_rows AS s WHERE s.upload = $3 AND s.source = i.source AND s.sku = i.sku)
  LIMIT ${rowsPerStatement}`);

/** What a snapshot no longer names, at the last version of its intake: newer intakes have touched nothing of it. */
async function markVanished(
  queries: Queries,
  term: number,
  upload: string,
  file: { source: string; intake: number; traceparent: string },
): Promise<number> {
  const version = itemVersion({ intake: file.intake, ordinal: lastOrdinal });
  let vanished = 0;
  for (;;) {
    const { applied } = await write(queries, 'marking what vanished', vanishStatement, [
      term,
      file.source,
      upload,
      file.traceparent,
      version,
    ]);
    vanished += applied.length;
    if (applied.length < rowsPerStatement) return vanished;
  }
}

async function settle(
  queries: Queries,
  term: number,
  file: {
    fileId: string;
    state: 'applied' | 'rejected';
    reason: string | null;
    sha256: string | null;
    answer: FileAnswer;
  },
): Promise<void> {
  await queries.query('writing the ledger', 'SELECT settle_file($1, $2, $3, $4, $5, $6)', [
    term,
    file.fileId,
    file.state,
    file.reason,
    file.sha256,
    JSON.stringify(fileAnswerSchema.parse(file.answer)),
  ]);
}
