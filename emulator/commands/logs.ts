// `baton logs`: the last lines of all services in the order of their times, also when nothing runs any more; with --follow also
// what is printed from now on, until the system ends or nobody reads it.
import { once } from 'node:events';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pause } from '../../runtime/waiting.ts';
import { startCommand } from '../instance/command-text.ts';
import { layoutOf } from '../instance/instance.ts';
import { isAlive } from '../instance/process-table.ts';
import { exitCodes, orFailed } from './exit-codes.ts';
import { tailDefault } from './options.ts';
import { whileRead } from './while-read.ts';
import { findRunning } from './find-running.ts';
import { logLine, logLineText, type LogLine } from './log-line.ts';

const extension = '.log';
const followEveryMs = 250;
const pieceBytes = 256 * 1024;

export interface ShownLogs {
  readonly follow: boolean;
  readonly json: boolean;
  /** The last lines of all services together. */
  readonly tail: number;
  /** Nothing that is older, ms. */
  readonly since?: number | undefined;
}

export async function logs(
  services: readonly string[],
  { data, follow = false, json = false, tail = tailDefault, since }: Partial<ShownLogs> & { data: string },
): Promise<number> {
  /** False when the reader has to catch up first. */
  const print = (line: LogLine): boolean =>
    process.stdout.write(json ? `${JSON.stringify(line)}\n` : logLineText(line));
  return await orFailed(async () => {
    const folder = layoutOf(data).logs;
    const names = await logsIn(folder);
    if (names.length === 0) {
      process.stderr.write(`There are no logs in ${folder}: \`${startCommand(data)}\` starts it.\n`);
      return exitCodes.nothingRunning;
    }
    const unknown = services.find((service) => !names.includes(service));
    if (unknown !== undefined) {
      process.stderr.write(`There is no log of ${unknown}; there are ${names.join(', ')}.\n`);
      return exitCodes.usage;
    }
    const logOf = new Map<string, Log>();
    const ends: LogLine[][] = [];
    for (const name of services.length > 0 ? services : names) {
      const log = new Log(join(folder, `${name}${extension}`));
      logOf.set(name, log);
      ends.push((await log.end(tail)).map((line) => logLine(name, line)));
    }
    for (const line of lastOf(ends, { tail, since })) print(line);
    if (!follow) return exitCodes.ok;

    const record = await findRunning(data);
    if (!record) return exitCodes.nothingRunning;
    for (const read = whileRead(); ; await pause(followEveryMs, read)) {
      const runs = isAlive(record.launcher); // Asked first: what it printed last is read after it.
      for (const name of services.length > 0 ? services : await logsIn(folder)) {
        const log = logOf.get(name) ?? new Log(join(folder, `${name}${extension}`));
        logOf.set(name, log);
        for await (const line of log.more()) {
          if (read.aborted) return exitCodes.ok;
          // Whoever reads slowly is waited for; who goes away meanwhile has ended it.
          if (!print(logLine(name, line))) await once(process.stdout, 'drain').catch(() => undefined);
        }
      }
      if (!runs || read.aborted) return exitCodes.ok;
    }
  });
}

/** In the order of their times; a line without one stays behind the one before it in its log. */
function lastOf(
  logsOfServices: readonly (readonly LogLine[])[],
  { tail, since }: { tail: number; since: number | undefined },
): LogLine[] {
  const oldest = since === undefined ? '' : new Date(Date.now() - since).toISOString();
  const placed = logsOfServices.flatMap((lines) => {
    let at = '';
    return lines.map((line) => ({ line, at: (at = line.at ?? at) }));
  });
  return placed
    .filter(({ at }) => at >= oldest)
    .sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0))
    .slice(-tail)
    .map(({ line }) => line);
}

/** By name. */
async function logsIn(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    throw new Error(`the logs in ${folder} cannot be read`, { cause });
  });
  return files
    .filter((file) => file.endsWith(extension))
    .map((file) => file.slice(0, -extension.length))
    .sort();
}

/** A file of rotating-file.ts as somebody else reads it, who knows how far he is. */
class Log {
  readonly #file: string;
  /** Of the file that was read, by whatever name it has now. */
  #inode: number | undefined;
  #position = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** The last lines; of the earlier file, too, right after a rotation. */
  async end(count: number): Promise<string[]> {
    const lines = await this.#last(this.#file, count, (inode, bytes) => {
      this.#inode = inode;
      this.#position = bytes;
    });
    const earlier = lines.length < count ? await this.#last(`${this.#file}.1`, count) : [];
    return [...earlier, ...lines].slice(-count);
  }

  /** The lines that came since; of a file that was begun anew meanwhile, after those of the earlier one. */
  async *more(): AsyncGenerator<string> {
    const now = await stat(this.#file).catch(() => undefined);
    if (now && (now.ino !== this.#inode || now.size < this.#position)) {
      yield* this.#onward(`${this.#file}.1`);
      this.#inode = now.ino;
      this.#position = 0;
    }
    yield* this.#onward(this.#file);
  }

  /** Nothing of another file that has this name by now. */
  async *#onward(path: string): AsyncGenerator<string> {
    const handle = await open(path).catch(() => undefined);
    if (!handle) return;
    try {
      if ((await handle.stat()).ino !== this.#inode) return;
      const piece = Buffer.alloc(pieceBytes);
      for (;;) {
        const { bytesRead } = await handle.read(piece, 0, piece.length, this.#position);
        // Up to the last whole line: the rest comes with the next look. One that is longer than a piece comes in several.
        const whole = piece.subarray(0, bytesRead).lastIndexOf(10) + 1;
        const end = whole === 0 && bytesRead === piece.length ? bytesRead : whole;
        if (end === 0) return;
        this.#position += end;
        yield* piece.subarray(0, end).toString('utf8').replace(/\n$/, '').split('\n');
      }
    } finally {
      await handle.close();
    }
  }

  async #last(
    path: string,
    count: number,
    found: (inode: number, bytes: number) => void = () => undefined,
  ): Promise<string[]> {
    const handle = await open(path).catch(() => undefined);
    if (!handle) return [];
    try {
      const { ino } = await handle.stat();
      const bytes = await handle.readFile();
      found(ino, bytes.length);
      const text = bytes.toString('utf8').trimEnd();
      return text === '' ? [] : text.split('\n').slice(-count);
    } finally {
      await handle.close();
    }
  }
}
