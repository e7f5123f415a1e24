// The bytes of RETR and STOR/APPE. A file that arrives is written beside its place under a dot name and renamed
// when it is whole, so that no reader ever sees half of it; what fails leaves no trace.
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, constants } from 'node:fs';
import { copyFile, lstat, open, rename, rm, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pause } from '../../../runtime/waiting.ts';
import type { DataConnection } from './data-channel.ts';
import type { FtpFault } from './faults.ts';
import { FtpReply } from './reply.ts';

export type TransferFault = Extract<FtpFault, { kind: 'truncate' | 'stall' | 'reset' | 'slow' }>;

/** Sends a file from `start` on. Refuses what is not a regular file. */
export async function sendFile(
  path: string,
  start: number,
  data: DataConnection,
  fault: TransferFault | undefined,
): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const source = file.createReadStream({ start });
  if (!fault) return await pipeline(source, data.stream);
  let sent = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    if (fault.kind === 'slow') {
      for (let at = 0; at < chunk.length && !data.stream.destroyed; at += fault.bytesPerSecond) {
        data.stream.write(chunk.subarray(at, at + fault.bytesPerSecond));
        await pause(1_000);
      }
      continue;
    }
    const rest = chunk.subarray(0, Math.max(0, fault.afterBytes - sent));
    sent += chunk.length;
    if (rest.length > 0) await new Promise((resolve) => data.stream.write(rest, resolve));
    if (sent < fault.afterBytes) continue;
    if (fault.kind === 'reset') {
      data.reset();
      throw new FtpReply(426, 'The data connection was reset');
    }
    if (fault.kind === 'stall') await new Promise((resolve) => data.stream.once('close', resolve));
    break;
  }
  await new Promise<void>((resolve) => data.stream.end(() => resolve()));
}

/** Receives a file. `keep` bytes of what is there stay in front (REST, APPE). Returns its size. */
export async function receiveFile(
  path: string,
  { keep, bytesMax, assertSentAll }: { keep: number; bytesMax: number; assertSentAll: () => Promise<void> },
  data: DataConnection,
): Promise<number> {
  const part = join(dirname(path), `.in.${randomBytes(9).toString('hex')}`);
  let size = keep;
  try {
    if (keep > 0) {
      const there = await lstat(path);
      if (there.size < keep) throw new FtpReply(554, `The file has only ${there.size} bytes`);
      await copyFile(path, part, constants.COPYFILE_EXCL);
      await truncate(part, keep);
    }
    const cap = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        if (size > bytesMax) done(new FtpReply(552, `A file may have ${bytesMax} bytes at most`));
        else done(null, chunk);
      },
    });
    await pipeline(data.stream, cap, createWriteStream(part, { flags: keep > 0 ? 'a' : 'wx' }));
    await assertSentAll();
    await rename(part, path);
    return size;
  } finally {
    await rm(part, { force: true });
  }
}

/** Hex sha256 of a whole file. */
export async function hashFile(path: string): Promise<{ hex: string; size: number }> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of file.createReadStream() as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { hex: hash.digest('hex'), size };
}
