// One file of a journal: written at its end, read anywhere, removed whole. Knows the live messages in it, since those
// decide when it may go.
import { open, unlink, type FileHandle } from 'node:fs/promises';

export class Segment<Entry> {
  readonly number: number;
  readonly path: string;
  readonly live = new Set<Entry>();
  bytes: number;
  removed = false;
  #handle: Promise<FileHandle> | undefined;

  constructor(number: number, path: string, bytes: number) {
    this.number = number;
    this.path = path;
    this.bytes = bytes;
  }

  /** Makes the file; there must be none. */
  create(): Promise<void> {
    this.#handle = open(this.path, 'wx+', 0o600);
    return this.#handle.then(() => undefined);
  }

  /** On disk when it resolves. @returns where the first of the bytes lies. */
  async append(parts: readonly Buffer[]): Promise<number> {
    const handle = await this.#open();
    const start = this.bytes;
    let position = start;
    let left = [...parts];
    while (left.length > 0) {
      const { bytesWritten } = await handle.writev(left.slice(0, writevMax), position);
      position += bytesWritten;
      left = after(left, bytesWritten);
    }
    await handle.datasync();
    this.bytes = position;
    return start;
  }

  async read(offset: number, bytes: number): Promise<Buffer> {
    for (;;) {
      const opened = this.#open();
      try {
        return await this.#readFrom(await opened, offset, bytes);
      } catch (error) {
        // Closed under our hands: it is opened again.
        if (this.removed || opened === this.#handle) throw error;
      }
    }
  }

  async #readFrom(handle: FileHandle, offset: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(bytes);
    let done = 0;
    while (done < bytes) {
      const { bytesRead } = await handle.read(buffer, done, bytes - done, offset + done);
      if (bytesRead === 0) throw new Error(`${this.path} ends at byte ${offset + done}`);
      done += bytesRead;
    }
    return buffer;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await (await handle)?.close();
  }

  async remove(): Promise<void> {
    this.removed = true;
    await this.close();
    await unlink(this.path);
  }

  #open(): Promise<FileHandle> {
    if (this.removed) throw new Error(`${this.path} is removed`);
    this.#handle ??= open(this.path, 'r+');
    return this.#handle;
  }
}

/** The system takes so many pieces in one write (IOV_MAX). */
const writevMax = 1_024;

function after(parts: readonly Buffer[], written: number): Buffer[] {
  let left = written;
  const rest: Buffer[] = [];
  for (const part of parts) {
    if (left < part.length) rest.push(part.subarray(left));
    left = Math.max(0, left - part.length);
  }
  return rest;
}
