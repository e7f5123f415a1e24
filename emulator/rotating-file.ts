// A file of lines that never grows without bound: one earlier file is kept beside it as `<file>.1`.
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const bytesMaxDefault = 10 * 1024 * 1024;

export class RotatingFile {
  readonly file: string;
  readonly #bytesMax: number;
  #descriptor: number;
  #bytes: number;

  constructor(file: string, bytesMax: number = bytesMaxDefault) {
    this.file = file;
    this.#bytesMax = bytesMax;
    this.#descriptor = openSync(file, 'a', 0o600);
    this.#bytes = fstatSync(this.#descriptor).size;
  }

  /** Without its line end. Nothing happens after close(): a last line may come late. */
  line(text: string): void {
    if (this.#descriptor < 0) return;
    if (this.#bytes > this.#bytesMax) {
      closeSync(this.#descriptor);
      renameSync(this.file, `${this.file}.1`);
      this.#descriptor = openSync(this.file, 'a', 0o600);
      this.#bytes = 0;
    }
    this.#bytes += writeSync(this.#descriptor, `${text}\n`);
  }

  close(): void {
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}
