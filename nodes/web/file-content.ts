// Receives a partner's file: the multipart parts meta, file and sha256 are streamed, its rows are staged as they come
// (stage-rows.ts), and applied only after every byte was compared. Nothing of a truncated upload is applied.
// Never holds a file in memory and never touches the disk.
import { createHash, randomUUID } from 'node:crypto';
import { pipeline, Transform } from 'node:stream';
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { fileBytesMax } from '../../contracts/file.ts';
import { fileMetaSchema, routes, type FileAnswer } from '../../contracts/node-api.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import type { Leadership } from '../leadership.ts';
import type { Store } from '../store.ts';
import { parse, uuidParameter } from './parse-request.ts';
import { stageRows, type Staged } from '../files/stage-rows.ts';

export function addFileContent(
  app: FastifyInstance,
  { leadership, store }: { leadership: Leadership; store: Store },
): void {
  app.register(multipart, {
    limits: { fileSize: fileBytesMax, files: 1, fields: 2, fieldSize: 4_096, parts: 3, headerPairs: 50 },
    throwFileSizeLimit: false,
  });
  app.post(routes.fileContent(':id'), async (request) => {
    const { id: fileId } = parse(uuidParameter, request.params);
    if (!request.isMultipart()) throw new Failure('REQUEST_MALFORMED', 'the body is not multipart/form-data');
    const upload = randomUUID();
    return leadership.write('file content', async (term) => {
      try {
        return await receive(request, { fileId, upload, term, store });
      } finally {
        await store.clearStaged(upload).catch(() => undefined); // Retention takes what this cannot.
      }
    });
  });
}

async function receive(
  request: FastifyRequest,
  { fileId, upload, term, store }: { fileId: string; upload: string; term: number; store: Store },
): Promise<FileAnswer> {
  const opened = await store.fileIntake(fileId);
  if (!opened) throw new Failure('NOT_FOUND', `no file ${fileId} was opened`);
  // Sent again after a lost answer, or by a sync that was slower than another one.
  if (opened.settled) return opened.settled;
  const hash = createHash('sha256');
  let bytes = 0;
  let announced: string | undefined;
  let staged: Staged | undefined;
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
        const { name, intake, currency } = opened;
        staged = await stageRows(counted, { upload, name, intake, currency, store });
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
  if (!staged || size === undefined || announced === undefined)
    throw new Failure('FILE_TRUNCATED', `${opened.name}: a part of meta, file and sha256 is missing`);
  if (bytes !== size)
    throw new Failure('FILE_TRUNCATED', `${opened.name}: ${bytes} of ${size} bytes arrived`);
  if (announced !== sha256)
    throw new Failure('FILE_TRUNCATED', `${opened.name}: its sha256 differs from the announced one`);
  if (staged.broken)
    return store.rejectFile(term, { fileId, reason: staged.broken.message, problems: staged.problems });
  const { rows, invalid, problems } = staged;
  return store.applyUpload(term, { fileId, upload, sha256, rows, invalid, problems });
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
