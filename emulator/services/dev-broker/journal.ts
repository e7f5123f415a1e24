// The disk of one queue: a row of segments. What it has resolved is on disk, one fdatasync for all that came while the
// one before ran. Segments go from the oldest on, because a later one may hold the only note that a message of an
// earlier one is settled; when too much of the disk is dead, the living of the oldest are written again at the end.
// Knows nothing of consumers or limits. A write that fails ends it for good: after a failed sync nobody can say what
// is on disk, so nothing is confirmed any more and `onFatal` is told.
import { mkdir, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeRecord,
  encodeBatch,
  firstRecordOffset,
  JournalRot,
  recordBytes,
  scanSegment,
  type JournalRecord,
} from './journal-format.ts';
import { limits, periods } from './limits.ts';
import type { QueueEntry } from './queue-state.ts';
import { Segment } from './segment.ts';
import { syncFolder } from './sync-folder.ts';
import type { WritePressure } from './write-pressure.ts';

export interface JournalEntry extends QueueEntry {
  readonly messageBytes: number;
  /** Where the newest copy lies. */
  place: { readonly segment: Segment<JournalEntry>; readonly offset: number; readonly bytes: number };
  settled: boolean;
}

export interface JournalOptions {
  readonly folder: string;
  readonly pressure: WritePressure;
  readonly onFatal: (error: Error) => void;
  readonly segmentBytes?: number;
}

interface Pending {
  readonly record: JournalRecord;
  /** Gets the place of the record once it is on disk. */
  readonly written?: (place: JournalEntry['place']) => void;
}

const segmentName = /^(\d{10})\.journal$/;

export class Journal {
  readonly #options: Required<JournalOptions>;
  readonly #segments: Segment<JournalEntry>[] = [];
  #liveBytes = 0;
  #nextId = 1;
  #nextSegment = 1;
  #pending: Pending[] = [];
  #flushing: Promise<void> | undefined;
  #settleTimer: NodeJS.Timeout | undefined;
  #cleaning: Promise<void> | undefined;
  #failed = false;
  #closing = false;

  private constructor(options: JournalOptions) {
    this.#options = { segmentBytes: limits.segmentBytes, ...options };
  }

  /**
   * @returns the journal and its unsettled messages, oldest first; `tornBytes` were cut off its end.
   * @throws Error naming file and byte when a record is broken that was once confirmed.
   */
  static async open(
    options: JournalOptions,
  ): Promise<{ journal: Journal; entries: JournalEntry[]; tornBytes: number }> {
    const journal = new Journal(options);
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    return { journal, ...(await journal.#recover()) };
  }

  /** What unsettled messages take on disk; all of it is at most twice as much and two segments. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** The message's entry, when it is on disk. */
  publish(message: Buffer, { expiresAt }: { expiresAt: number | undefined }): Promise<JournalEntry> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#append({
        record: { kind: 'published', id, returns: 0, expiresAt, message },
        written: (place) => {
          const entry: JournalEntry = {
            id,
            expiresAt,
            returns: 0,
            redelivered: false,
            messageBytes: message.length,
            place,
            settled: false,
          };
          this.#enliven(entry);
          resolve(entry);
        },
      });
    });
  }

  /** The message is no longer needed. Nobody waits for it: when the note is lost, the message comes again. */
  settle(entry: JournalEntry): void {
    if (entry.settled) return;
    entry.settled = true;
    this.#forget(entry);
    this.#append({ record: { kind: 'settled', id: entry.id } });
    if (this.#segments[0]?.live.size === 0) this.#clean();
  }

  /** Notes how often the message came back. */
  returned(entry: JournalEntry): void {
    if (!entry.settled) this.#append({ record: { kind: 'returned', id: entry.id, returns: entry.returns } });
  }

  /** @throws Error naming file and byte when the disk gives back something else than was written. */
  async read(entry: JournalEntry): Promise<Buffer> {
    for (;;) {
      const { segment, offset, bytes } = entry.place;
      try {
        const { record } = decodeRecord(await segment.read(offset, bytes), 0);
        if (record.kind === 'published' && record.id === entry.id) return record.message;
        throw new JournalRot(0, `the record of message ${entry.id} is another one`);
      } catch (error) {
        // It moved to a younger segment while we looked, and the one we looked in was removed.
        if (segment !== entry.place.segment) continue;
        throw error instanceof JournalRot ? rotten(segment.path, offset + error.offset, error) : error;
      }
    }
  }

  /** Resolves when everything said so far is on disk. */
  async flushed(): Promise<void> {
    while (!this.#failed && (this.#pending.length > 0 || this.#flushing)) await this.#flush();
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (!this.#failed) await this.#cleaning;
    await this.flushed();
    clearTimeout(this.#settleTimer);
    for (const segment of this.#segments) await segment.close();
  }

  /** Ends it and removes its folder. */
  async destroy(): Promise<void> {
    await this.close();
    await rm(this.#options.folder, { recursive: true, force: true });
  }

  #append(pending: Pending): void {
    this.#pending.push(pending);
    this.#options.pressure.add(pressureOf(pending));
    if (this.#flushing || this.#failed) return;
    if (pending.written) {
      // After this turn of the event loop, so that everything of one network read goes to disk together.
      this.#flushing = new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#writeAll());
    } else
      this.#settleTimer ??= setTimeout(() => {
        this.#settleTimer = undefined;
        void this.#flush();
      }, periods.settleMs);
  }

  #flush(): Promise<void> {
    // With nothing to write it would be over before it is noted as running, and count as running ever after.
    if (this.#pending.length > 0) this.#flushing ??= this.#writeAll();
    return this.#flushing ?? Promise.resolve();
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#pending.length > 0) await this.#writeBatch();
    } catch (cause) {
      this.#fail('cannot be written', cause);
    } finally {
      this.#flushing = undefined;
    }
    if (!this.#failed) this.#clean();
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#takeBatch();
    const segment = await this.#currentSegment();
    let offset = (await segment.append(encodeBatch(batch.map(({ record }) => record)))) + firstRecordOffset;
    for (const pending of batch) {
      const bytes = recordBytes(pending.record);
      pending.written?.({ segment, offset, bytes });
      offset += bytes;
      this.#options.pressure.remove(pressureOf(pending));
    }
  }

  #takeBatch(): Pending[] {
    let bytes = 0;
    let count = 0;
    for (const { record } of this.#pending) {
      bytes += recordBytes(record);
      if (count > 0 && bytes > limits.batchBytes) break;
      count += 1;
    }
    return this.#pending.splice(0, count);
  }

  async #currentSegment(): Promise<Segment<JournalEntry>> {
    const current = this.#segments.at(-1);
    if (current && current.bytes < this.#options.segmentBytes) return current;
    const number = this.#nextSegment++;
    const path = join(this.#options.folder, `${String(number).padStart(10, '0')}.journal`);
    const segment = new Segment<JournalEntry>(number, path, 0);
    await segment.create();
    await syncFolder(this.#options.folder);
    this.#segments.push(segment);
    // Read again, it is opened again; else a long backlog would hold as many files open.
    await current?.close();
    return segment;
  }

  #clean(): void {
    if (this.#cleaning || this.#closing || !this.#oldestMayGo()) return;
    this.#cleaning = this.#cleanOldest()
      .catch((cause: unknown) => this.#fail('cannot be cleaned', cause))
      .finally(() => {
        this.#cleaning = undefined;
        if (!this.#failed) this.#clean();
      });
  }

  /** Never the one that is written to. At most half of the disk, and two segments, are dead. */
  #oldestMayGo(): boolean {
    const [oldest] = this.#segments;
    if (!oldest || this.#segments.length < 2) return false;
    if (oldest.live.size === 0) return true;
    const total = this.#segments.reduce((bytes, segment) => bytes + segment.bytes, 0);
    return total > 2 * this.#liveBytes + 2 * this.#options.segmentBytes;
  }

  async #cleanOldest(): Promise<void> {
    const [oldest] = this.#segments;
    if (!oldest) return;
    const copied: Promise<void>[] = [];
    for (const entry of oldest.live) {
      const message = await this.read(entry);
      // Asked after the read: once a settling is noted, a copy behind it would bring the message back.
      if (!entry.settled) copied.push(this.#copyForward(entry, message));
    }
    await Promise.all(copied);
    this.#segments.shift();
    await oldest.remove();
  }

  #copyForward(entry: JournalEntry, message: Buffer): Promise<void> {
    const { id, returns, expiresAt } = entry;
    return new Promise((resolve) =>
      this.#append({
        record: { kind: 'published', id, returns, expiresAt, message },
        written: (place) => {
          if (!entry.settled) {
            this.#forget(entry);
            entry.place = place;
            this.#enliven(entry);
          }
          resolve();
        },
      }),
    );
  }

  async #recover(): Promise<{ entries: JournalEntry[]; tornBytes: number }> {
    const { folder } = this.#options;
    const names = (await readdir(folder)).filter((name) => segmentName.test(name)).sort();
    const entries = new Map<number, JournalEntry>();
    const returns = new Map<number, number>();
    const settled = new Set<number>();
    let tornBytes = 0;
    for (const name of names) {
      const path = join(folder, name);
      const bytes = await readFile(path);
      const { records, end } = scan(path, bytes, name === names.at(-1));
      if (end < bytes.length) {
        await truncate(path, end);
        tornBytes = bytes.length - end;
      }
      const segment = new Segment<JournalEntry>(Number(segmentName.exec(name)?.[1]), path, end);
      this.#segments.push(segment);
      for (const { record, offset, bytes } of records) {
        this.#nextId = Math.max(this.#nextId, record.id + 1);
        if (record.kind === 'settled') settled.add(record.id);
        else returns.set(record.id, Math.max(record.returns, returns.get(record.id) ?? 0));
        if (record.kind !== 'published') continue;
        // A later copy of the same message wins: the earlier one was about to be removed.
        entries.set(record.id, {
          id: record.id,
          expiresAt: record.expiresAt,
          returns: 0,
          // Deliveries leave no trace here, so any of them may have been with a consumer.
          redelivered: true,
          messageBytes: record.message.length,
          place: { segment, offset, bytes },
          settled: false,
        });
      }
    }
    this.#nextSegment = (this.#segments.at(-1)?.number ?? 0) + 1;
    for (const id of settled) entries.delete(id);
    const live = [...entries.values()].sort((a, b) => a.id - b.id);
    for (const entry of live) {
      entry.returns = returns.get(entry.id) ?? 0;
      this.#enliven(entry);
    }
    return { entries: live, tornBytes };
  }

  #enliven(entry: JournalEntry): void {
    entry.place.segment.live.add(entry);
    this.#liveBytes += entry.place.bytes;
  }

  #forget(entry: JournalEntry): void {
    if (entry.place.segment.live.delete(entry)) this.#liveBytes -= entry.place.bytes;
  }

  #fail(what: string, cause: unknown): void {
    this.#failed = true;
    this.#pending = [];
    const error = new Error(
      `the journal in ${this.#options.folder} ${what}; nothing is confirmed any more. Look for a full or broken disk, then start the broker again: what was confirmed is kept`,
      { cause },
    );
    this.#options.onFatal(error);
  }
}

/** Small ones cost more memory than their bytes. */
function pressureOf({ record }: Pending): number {
  return recordBytes(record) + 256;
}

function scan(path: string, bytes: Buffer, last: boolean): ReturnType<typeof scanSegment> {
  try {
    return scanSegment(bytes, { last });
  } catch (error) {
    throw error instanceof JournalRot ? rotten(path, error.offset, error) : error;
  }
}

function rotten(path: string, offset: number, cause: Error): Error {
  return new Error(
    `${path} is broken: ${cause.message} (byte ${offset} of the file). Messages in it were confirmed and cannot be read. Restore the file from a copy; or, to go on without them, move the file away and start again`,
    { cause },
  );
}
