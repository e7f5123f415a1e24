// What one function prints, as NDJSON in a file of its own.
// Lines that are JSON stay as they are; others are wrapped. Between them stand the platform's reports.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../runtime/logger.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { RotatingFile } from '../rotating-file.ts';

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
  readonly #name: string;
  readonly #logger: Logger;
  readonly #lines: RotatingFile;

  constructor({ name, folder, logger }: { name: string; folder: string; logger: Logger }) {
    this.#name = name;
    this.#logger = logger;
    mkdirSync(folder, { recursive: true });
    this.#lines = new RotatingFile(join(folder, `${name}.log`));
  }

  /** A line of the function's own. */
  line(text: string): void {
    if (text === '') return;
    this.#lines.line(
      text.startsWith('{') && parseJson(text) !== undefined
        ? text
        : JSON.stringify({ level: 'info', process: this.#name, at: new Date().toISOString(), msg: text }),
    );
  }

  /** Named as in Lambda's own JSON logs. */
  report(report: InvocationReport): void {
    this.#lines.line(
      JSON.stringify({ time: new Date().toISOString(), type: 'platform.report', record: report }),
    );
  }

  debug(message: string): void {
    this.#logger.debug(message);
  }

  warn(message: string): void {
    this.#logger.warn(message);
  }

  close(): void {
    this.#lines.close();
  }
}
