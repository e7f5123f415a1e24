// The mails of the inbox: their bytes as files that any mail program opens, a summary of each in memory and beside the
// file. Keeps the newest within a count and a number of bytes. Never changes a byte of a mail.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { z } from 'zod';
import { writeWhole } from '../../../runtime/write-file.ts';
import { describeError } from '../../../runtime/failure.ts';

export const mailBytesMax = 10 * 1024 * 1024;
export const mailsMax = 1_000;
const totalBytesMax = 256 * 1024 * 1024; // 1,000 mails of 10 MB would fill a laptop's disk unnoticed.
const textLengthMax = 300;

export const mailSummarySchema = z.strictObject({
  id: z.int().min(1),
  receivedAt: z.iso.datetime(),
  /** The envelope: what the SMTP dialogue named. Empty for the null sender. */
  from: z.string(),
  to: z.array(z.string()),
  subject: z.string(),
  messageId: z.string().nullable(),
  bytes: z.int(),
});
export type MailSummary = z.infer<typeof mailSummarySchema>;
export interface Envelope {
  readonly from: string;
  readonly to: readonly string[];
}

export class MailStore {
  readonly #folder: string;
  readonly #mails: MailSummary[] = [];
  #lastId = 0;
  /** One change of the folder at a time, so that two mails never count or evict at once. */
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Takes up what an earlier run kept; what it had not finished is removed. */
  static async open(folder: string, warn: (message: string) => void): Promise<MailStore> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const store = new MailStore(folder);
    const names = await readdir(folder);
    const summaries = names.filter((name) => /^\d+\.json$/.test(name));
    for (const name of summaries) {
      try {
        const text = await readFile(join(folder, name), 'utf8');
        store.#mails.push(mailSummarySchema.parse(JSON.parse(text)));
      } catch (error) {
        warn(`${join(folder, name)} is not a summary of a mail and is left alone: ${describeError(error)}`);
      }
    }
    store.#mails.sort((left, right) => left.id - right.id);
    store.#lastId = store.#mails.at(-1)?.id ?? 0;
    for (const name of names)
      if (
        name.endsWith('.part') ||
        (/^\d+\.eml$/.test(name) && !summaries.includes(`${name.slice(0, -4)}.json`))
      )
        await rm(join(folder, name), { force: true });
    await store.#evict();
    return store;
  }

  /** Newest first. */
  list(): MailSummary[] {
    return this.#mails.toReversed();
  }

  find(id: number): MailSummary | undefined {
    return this.#mails.find((mail) => mail.id === id);
  }

  /** Undefined when it went while it was asked for. */
  async bytes(id: number): Promise<Buffer | undefined> {
    if (!this.find(id)) return undefined;
    try {
      return await readFile(join(this.#folder, `${id}.eml`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Resolves once the mail is on the disk: its sender is told so. @throws Error when it cannot be written. */
  async add(envelope: Envelope, bytes: Buffer): Promise<MailSummary> {
    const described = await describe(bytes);
    return this.#change(async () => {
      // Rises across restarts, so that a reader who remembers the last id it saw misses nothing.
      const id = Math.max(this.#lastId + 1, Date.now());
      const summary: MailSummary = {
        id,
        receivedAt: new Date().toISOString(),
        from: envelope.from,
        to: [...envelope.to],
        ...described,
        bytes: bytes.length,
      };
      // The summary comes last and makes the mail count: a crash before it leaves nothing half there.
      await writeWhole(join(this.#folder, `${id}.eml`), bytes, { mode: 0o600, flush: true });
      await writeWhole(join(this.#folder, `${id}.json`), Buffer.from(JSON.stringify(summary)), {
        mode: 0o600,
        flush: true,
      });
      this.#lastId = id;
      this.#mails.push(summary);
      await this.#evict();
      return summary;
    });
  }

  async clear(): Promise<void> {
    await this.#change(async () => {
      while (this.#mails.length > 0) await this.#removeOldest();
    });
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined); // The caller hears of it.
    return done;
  }

  async #evict(): Promise<void> {
    let bytes = this.#mails.reduce((sum, mail) => sum + mail.bytes, 0);
    while (this.#mails.length > mailsMax || bytes > totalBytesMax) {
      bytes -= this.#mails[0]?.bytes ?? 0;
      await this.#removeOldest();
    }
  }

  async #removeOldest(): Promise<void> {
    const oldest = this.#mails.shift();
    if (!oldest) return;
    for (const extension of ['json', 'eml'])
      await rm(join(this.#folder, `${oldest.id}.${extension}`), { force: true });
  }
}

/** For the list. A mail whose MIME nobody can read is kept all the same, without a subject. */
async function describe(bytes: Buffer): Promise<{ subject: string; messageId: string | null }> {
  const headEnd = bytes.indexOf('\r\n\r\n');
  const head = bytes.subarray(0, headEnd < 0 ? bytes.length : headEnd + 4);
  try {
    const { subject = '', messageId } = await simpleParser(head);
    return {
      subject: subject.slice(0, textLengthMax),
      messageId: messageId?.slice(0, textLengthMax) ?? null,
    };
  } catch {
    return { subject: '', messageId: null };
  }
}
