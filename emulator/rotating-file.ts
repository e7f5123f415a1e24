// A file of lines that never grows without bound: one earlier file is kept beside it as `<file>.1`.
// A disk that is full, or a folder that is gone, costs lines and nothing else: whoever writes here supervises processes.
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const bytesMaxDefault = 10 * 1024 * 1024;

export class RotatingFile {
  readonly file: string;
  readonly #bytesMax: number;
  /** Undefined while the next one cannot be opened. */
  #descriptor: number | undefined;
  #bytes: number;
  #closed = false;
  #dropped = 0;
  /** A line was cut off in the middle. */
  #torn = false;

  /** @throws Error when the file cannot be opened. */
  constructor(file: string, bytesMax: number = bytesMaxDefault) {
    this.file = file;
    this.#bytesMax = bytesMax;
    this.#descriptor = openSync(file, 'a', 0o600);
    this.#bytes = fstatSync(this.#descriptor).size;
  }

  /**
   * Without its line end. Nothing happens after close(): a last line may come late. One that cannot be written is dropped
   * and counted, and the next one that can be says how many.
   */
  line(text: string): void {
    if (this.#closed) return;
    try {
      const descriptor = this.#open();
      if (this.#dropped > 0) {
        this.#write(descriptor, `(${this.#dropped} lines could not be written here)`);
        this.#dropped = 0;
      }
      this.#write(descriptor, text);
    } catch {
      this.#dropped += 1;
    }
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  /** The file to write to, which is a new one when the present one is long enough. */
  #open(): number {
    if (this.#descriptor !== undefined && this.#bytes > this.#bytesMax) {
      this.#release();
      renameSync(this.file, `${this.file}.1`);
    }
    if (this.#descriptor === undefined) {
      this.#descriptor = openSync(this.file, 'a', 0o600);
      this.#bytes = fstatSync(this.#descriptor).size;
      this.#torn = false;
    }
    return this.#descriptor;
  }

  #write(descriptor: number, text: string): void {
    const bytes = Buffer.from(`${this.#torn ? '\n' : ''}${text}\n`);
    const written = writeSync(descriptor, bytes);
    this.#bytes += written;
    if (written > 0) this.#torn = written < bytes.length;
    if (written < bytes.length) throw new Error(`${this.file} takes no more`);
  }

  #release(): void {
    if (this.#descriptor === undefined) return;
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    try {
      closeSync(descriptor);
    } catch {
      // A network file system says only now that it kept nothing.
    }
  }
}
