// PUTs a partner's file through: multipart parts meta, file and sha256 are streamed, rows are staged in bounded
// transactions, judged, and applied only after every byte was compared. Nothing of a truncated upload is applied.
// Never holds a file in memory and never touches the disk.
import { createHash, randomUUID } from 'node:crypto';
import { pipeline, Transform, type Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { fileBytesMax, parseFileName } from '../../contracts/file.ts';
import { itemVersion } from '../../contracts/ids.ts';
import { itemSchema } from '../../contracts/item.ts';
import { fileMetaSchema, routes, type FileAnswer } from '../../contracts/node-api.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import type { Leadership } from '../leadership.ts';
import type { StagedRow, Store } from '../store.ts';
import { readRows } from './read-rows.ts';

const rowsPerTransaction = 5_000; // Half of the cap on a staging transaction, so that a claim waits less.
const problemsShownMax = 10;

interface Loaded {
  rows: number;
  invalid: number;
  problems: string[];
  /** The file as a whole cannot be read. */
  broken: Failure | undefined;
}

export function addFileContent(
  app: FastifyInstance,
  { leadership, store }: { leadership: Leadership; store: Store },
): void {
  app.register(multipart, {
    limits: { fileSize: fileBytesMax, files: 1, fields: 2, fieldSize: 4_096, parts: 3, headerPairs: 50 },
    throwFileSizeLimit: false,
  });
  app.post(routes.fileContent(':id'), async (request) => {
    const parsed = z.object({ id: z.uuid() }).safeParse(request.params);
    if (!parsed.success) throw new Failure('REQUEST_MALFORMED', 'the file id is not a uuid');
    if (!request.isMultipart()) throw new Failure('REQUEST_MALFORMED', 'the body is not multipart/form-data');
    return leadership.write('file content', (term) => receive(request, parsed.data.id, term));
  });

  async function receive(request: FastifyRequest, fileId: string, term: number): Promise<FileAnswer> {
    const opened = await store.fileIntake(fileId);
    if (!opened) throw new Failure('NOT_FOUND', `no file ${fileId} was opened`);
    // Sent again after a lost answer, or by a sync that was slower than another one.
    if (opened.settled) return opened.settled;
    const upload = randomUUID();
    const hash = createHash('sha256');
    let bytes = 0;
    let announced: string | undefined;
    let loaded: Loaded | undefined;
    let size: number | undefined;
    try {
      for await (const part of request.parts()) {
        if (part.type === 'file') {
          if (size === undefined)
            throw new Failure('REQUEST_MALFORMED', 'the part `meta` has to come before `file`');
          const counted = new Transform({
            transform(chunk: Buffer, _encoding, done) {
              bytes += chunk.length;
              hash.update(chunk);
              done(null, chunk);
            },
          });
          pipeline(part.file, counted, () => undefined);
          loaded = await load(counted, { fileId, upload, term, name: opened.name, intake: opened.intake });
          // An over-limit file ends like any other, with this flag as the only sign.
          if (part.file.truncated)
            throw new Failure('FILE_TOO_LARGE', `${opened.name} is larger than ${fileBytesMax} bytes`);
        } else if (part.fieldname === 'meta') size = readMeta(part.value, opened);
        else if (part.fieldname === 'sha256') announced = String(part.value);
      }
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw new Failure(
        'FILE_TRUNCATED',
        `${opened.name}: the multipart body is broken: ${describeError(error)}`,
        { cause: error },
      );
    }
    const sha256 = hash.digest('hex');
    if (!loaded || size === undefined || announced === undefined)
      throw new Failure('FILE_TRUNCATED', `${opened.name}: a part of meta, file and sha256 is missing`);
    if (bytes !== size)
      throw new Failure('FILE_TRUNCATED', `${opened.name}: ${bytes} of ${size} bytes arrived`);
    if (announced !== sha256)
      throw new Failure('FILE_TRUNCATED', `${opened.name}: its sha256 differs from the announced one`);
    if (loaded.broken)
      return store.rejectFile(term, { fileId, reason: loaded.broken.message, problems: loaded.problems });
    const { rows, invalid, problems } = loaded;
    return store.applyUpload(term, { fileId, upload, sha256, rows, invalid, problems });
  }

  async function load(
    stream: Readable,
    file: { fileId: string; upload: string; term: number; name: string; intake: number },
  ): Promise<Loaded> {
    const loaded: Loaded = { rows: 0, invalid: 0, problems: [], broken: undefined };
    const name = parseFileName(file.name);
    let staged: StagedRow[] = [];
    const flush = async (): Promise<void> => {
      if (staged.length > 0)
        await store.stageRows(file.term, { fileId: file.fileId, upload: file.upload, rows: staged });
      staged = [];
    };
    try {
      if (!name)
        throw new Failure('FILE_MALFORMED', `the name ${file.name} says no source or no known format`);
      for await (const { row, value, problem } of readRows(stream, name)) {
        loaded.rows += 1;
        const content = typeof value === 'object' && value !== null ? value : {};
        // A crawl file repeats the versions of its messages; a partner's rows get theirs from their position.
        const version =
          name.crawlIntake === undefined
            ? { version: itemVersion({ intake: file.intake, ordinal: row }) }
            : {};
        const judged =
          problem === undefined
            ? itemSchema.safeParse({ ...content, source: name.source, ...version })
            : undefined;
        if (judged?.success) staged.push({ row, item: judged.data });
        else {
          loaded.invalid += 1;
          if (loaded.problems.length < problemsShownMax)
            loaded.problems.push(
              `row ${row}: ${problem ?? describeIssues(judged ? issuesOf(judged.error) : [])}`,
            );
        }
        if (staged.length >= rowsPerTransaction) await flush();
      }
      await flush();
    } catch (error) {
      if (error instanceof Failure && error.rule.next !== 'reject-file') throw error;
      loaded.broken =
        error instanceof Failure
          ? error
          : new Failure('FILE_MALFORMED', `${file.name}: ${describeError(error)}`);
    }
    // The rest is counted and hashed all the same: only then is a bad file told from a truncated one.
    if (!stream.readableEnded) {
      stream.unpipe(); // From whoever still unpacks it for nobody, and holds it up.
      stream.resume();
      await finished(stream, { writable: false }).catch(() => undefined); // However it ends: what arrived is counted.
    }
    return loaded;
  }
}

function readMeta(value: unknown, opened: { name: string; size: number }): number {
  // A part of type application/json arrives parsed, one without a type as text.
  let json: unknown = value;
  if (typeof value === 'string')
    try {
      json = JSON.parse(value);
    } catch (cause) {
      throw new Failure('REQUEST_MALFORMED', 'the part `meta` is not JSON', { cause });
    }
  const meta = fileMetaSchema.safeParse(json);
  if (!meta.success) throw new Failure('REQUEST_MALFORMED', `meta: ${describeIssues(issuesOf(meta.error))}`);
  if (meta.data.name !== opened.name || meta.data.size !== opened.size)
    throw new Failure(
      'REQUEST_MALFORMED',
      `meta names ${meta.data.name} of ${meta.data.size} bytes, opened was ${opened.name} of ${opened.size}`,
    );
  return meta.data.size;
}
