// A file from FTP to the leader without touching the disk or the memory: multipart (RFC 7578) written by hand,
// parts meta, file, sha256 in this order, Content-Length from SIZE. A transfer that ends early or goes on for
// too long breaks the request off, so the leader cannot take it for a whole file.
import { createHash, randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import type { FileMeta } from '../../contracts/node-api.ts';
import { Failure } from '../../runtime/failure.ts';
import type { InternalRequest } from '../../runtime/internal-http.ts';

export interface FileUpload {
  readonly meta: FileMeta;
  /** Ends `to`, or rejects. Called anew for each try. */
  readonly download: (to: PassThrough) => Promise<void>;
  /** Told why the body broke off, since the HTTP client only says that it did. */
  readonly onBroken: (failure: Failure) => void;
}

export function multipartBody(upload: FileUpload): ReturnType<NonNullable<InternalRequest['body']>> {
  const boundary = `baton-${randomBytes(16).toString('hex')}`;
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="meta"\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(upload.meta)}\r\n` +
      // The real name is in meta: a name in a header would need quoting of its own.
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n`,
  );
  const tail = (hex: string) =>
    Buffer.from(
      `\r\n--${boundary}\r\nContent-Disposition: form-data; name="sha256"\r\n\r\n${hex}\r\n--${boundary}--\r\n`,
    );
  return {
    stream: Readable.from(parts(upload, head, tail), { objectMode: false }),
    contentType: `multipart/form-data; boundary=${boundary}`,
    contentLength: head.length + upload.meta.size + tail('0'.repeat(64)).length,
  };
}

async function* parts(
  { meta, download, onBroken }: FileUpload,
  head: Buffer,
  tail: (hex: string) => Buffer,
): AsyncGenerator<Buffer> {
  const content = new PassThrough();
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    yield head;
    const downloaded = download(content);
    downloaded.catch((error: unknown) =>
      content.destroy(error instanceof Error ? error : new Error(String(error))),
    );
    for await (const chunk of content as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > meta.size) break;
      hash.update(chunk);
      yield chunk;
    }
    if (bytes <= meta.size) await downloaded;
    if (bytes !== meta.size)
      throw new Failure(
        'FILE_TRUNCATED',
        `${meta.name}: ${bytes > meta.size ? 'more than' : `only ${bytes} of`} ${meta.size} bytes came from the FTP server`,
      );
    yield tail(hash.digest('hex'));
  } catch (cause) {
    const failure =
      cause instanceof Failure
        ? cause
        : new Failure('FILE_TRUNCATED', `${meta.name} broke off after ${bytes} of ${meta.size} bytes`, {
            cause,
          });
    onBroken(failure);
    throw failure;
  } finally {
    content.destroy();
  }
}
