// What one function prints, as NDJSON in a file of its own that never grows without bound: one earlier file is kept.
// Lines that are JSON stay as they are; others are wrapped. Between them stand the platform's reports.
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../runtime/logger.ts';
import { logFileBytesMax } from './limits.ts';

export interface InvocationReport {
  readonly requestId: string;
  readonly status: 'success' | 'error';
  readonly durationMs: number;
  readonly memorySizeMb: number;
  /** 0 where the system does not say, or an invocation was too short to look. */
  readonly memoryUsedMbMax: number;
  /** Only after a cold start. */
  readonly initMs: number | undefined;
}

export class FunctionLog {
  readonly file: string;
  readonly #name: string;
  readonly #logger: Logger;
  #descriptor: number;
  #bytes: number;

  constructor({ name, folder, logger }: { name: string; folder: string; logger: Logger }) {
    this.#name = name;
    this.#logger = logger;
    mkdirSync(folder, { recursive: true });
    this.file = join(folder, `${name}.log`);
    this.#descriptor = openSync(this.file, 'a', 0o600);
    this.#bytes = fstatSync(this.#descriptor).size;
  }

  /** A line of the function's own. */
  line(text: string): void {
    if (text === '') return;
    this.#write(
      text.startsWith('{') && isJson(text)
        ? text
        : JSON.stringify({ level: 'info', process: this.#name, at: new Date().toISOString(), msg: text }),
    );
  }

  /** Named as in Lambda's own JSON logs. */
  report(report: InvocationReport): void {
    this.#write(JSON.stringify({ time: new Date().toISOString(), type: 'platform.report', record: report }));
  }

  debug(message: string): void {
    this.#logger.debug(message);
  }

  warn(message: string): void {
    this.#logger.warn(message);
  }

  close(): void {
    closeSync(this.#descriptor);
    this.#descriptor = -1;
  }

  #write(text: string): void {
    if (this.#descriptor < 0) return; // A last line of a process that was ended with the host.
    if (this.#bytes > logFileBytesMax) {
      closeSync(this.#descriptor);
      renameSync(this.file, `${this.file}.1`);
      this.#descriptor = openSync(this.file, 'a', 0o600);
      this.#bytes = 0;
    }
    this.#bytes += writeSync(this.#descriptor, `${text}\n`);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
