// The FTP server as ftp-sync uses it: explicit TLS with a verified certificate, a few connections, every wait
// bounded. After anything but a plain FTP refusal a connection is thrown away, since basic-ftp may still have
// a half-open transfer on it. Never reports a listing's size or date: SIZE and MDTM are asked for.
import { PassThrough, Readable, type Writable } from 'node:stream';
import { posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Client, FTPError, FileInfo, FileType } from 'basic-ftp';
import type { FtpAddress } from '../ftp-address.ts';
import type { Look } from './plan-transfer.ts';

const socketTimeoutMsDefault = 15_000; // Silence, not duration: a slow server may take its time.
const connectionsMax = 4;
const listingBytesMax = 8 * 1024 * 1024;

export class FtpClient {
  readonly #address: FtpAddress;
  readonly #socketTimeoutMs: number;
  readonly #idle: Client[] = [];
  readonly #open = new Set<Client>();
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(address: FtpAddress, { socketTimeoutMs = socketTimeoutMsDefault } = {}) {
    this.#address = address;
    this.#socketTimeoutMs = socketTimeoutMs;
  }

  /** Names of the plain files in a folder. */
  list(folder: string): Promise<string[]> {
    return this.#with(async (client) =>
      (await client.list(this.#path(folder))).filter((entry) => entry.isFile).map((entry) => entry.name),
    );
  }

  /** Undefined when it is not there. */
  look(path: string): Promise<Look | undefined> {
    return this.#with(async (client) => {
      try {
        return {
          size: await client.size(this.#path(path)),
          modifiedAt: await client.lastMod(this.#path(path)),
        };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  /** Ends `to` when the server says that it sent all, which may be a lie: compare with SIZE. */
  download(path: string, to: Writable): Promise<void> {
    return this.#with(async (client) => void (await client.downloadTo(to, this.#path(path))));
  }

  /** Uploads as `.name.part`, compares SIZE, renames. Returns the bytes. */
  write(path: string, body: Readable): Promise<number> {
    return this.#with(async (client) => {
      const part = this.#path(posix.join(posix.dirname(path), `.${posix.basename(path)}.part`));
      let bytes = 0;
      const counted = new PassThrough();
      counted.on('data', (chunk: Buffer) => void (bytes += chunk.length));
      counted.pause();
      // Together, so that a body that breaks off ends the upload, and the other way round.
      await Promise.all([pipeline(body, counted), client.uploadFrom(counted, part)]);
      const size = await client.size(part);
      if (size !== bytes) throw new Error(`${path} holds ${size} bytes after ${bytes} were sent`);
      await client.rename(part, this.#path(path));
      return bytes;
    });
  }

  /** False when there is nothing of that name. */
  move({ from, to }: { from: string; to: string }): Promise<boolean> {
    return this.#with(async (client) => {
      try {
        await client.rename(this.#path(from), this.#path(to));
        return true;
      } catch (error) {
        if (isMissing(error)) return false;
        throw error;
      }
    });
  }

  async remove(path: string): Promise<void> {
    await this.#with((client) => client.remove(this.#path(path), true));
  }

  /** Ends every connection, also those in use. */
  close(): void {
    this.#closed = true;
    for (const client of this.#open) client.close();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #path(path: string): string {
    return posix.join('/', this.#address.root, path);
  }

  async #with<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.#take();
    try {
      const result = await work(client);
      this.#giveBack(client);
      return result;
    } catch (error) {
      if (error instanceof FTPError) this.#giveBack(client);
      else this.#throwAway(client);
      throw error;
    }
  }

  async #take(): Promise<Client> {
    while (!this.#closed && this.#idle.length === 0 && this.#open.size >= connectionsMax)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#closed) throw new Error('the FTP connections are closed');
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      if (!idle.closed) return idle;
      this.#open.delete(idle);
    }
    const client = new Client(this.#socketTimeoutMs, {
      allowSeparateTransferHost: false,
      maxListingBytes: listingBytesMax,
    });
    this.#open.add(client);
    try {
      await this.#connect(client);
      return client;
    } catch (cause) {
      this.#throwAway(client);
      throw new Error(`connecting to FTP at ${this.#address.host}:${this.#address.port} failed`, { cause });
    }
  }

  async #connect(client: Client): Promise<void> {
    const { username, password } = await this.#address.credentials();
    const ca = await this.#address.ca();
    const parseOther = client.parseList;
    client.parseList = (text) => parseMlsd(text) ?? parseOther(text);
    await client.access({
      host: this.#address.host,
      port: this.#address.port,
      user: username,
      password,
      secure: true,
      secureOptions: { minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) },
    });
  }

  #giveBack(client: Client): void {
    if (client.closed || this.#closed) return this.#throwAway(client);
    this.#idle.push(client);
    this.#waiting.shift()?.();
  }
  #throwAway(client: Client): void {
    client.close();
    this.#open.delete(client);
    this.#waiting.shift()?.();
  }
}

/** 550, or 450 of servers that think it may come back. */
function isMissing(error: unknown): boolean {
  return error instanceof FTPError && (error.code === 550 || error.code === 450);
}

/**
 * MLSD lines (RFC 3659 section 7.2); undefined when it is another format. Only names and types are read: one
 * entry with an impossible date must not hide the rest, and a line cut in the middle is left out.
 */
function parseMlsd(text: string): FileInfo[] | undefined {
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  if (lines.length > 0 && !lines.some((line) => /^(?:[^\s=;]+=[^;]*;)+ /.test(line))) return undefined;
  const files: FileInfo[] = [];
  for (const line of lines) {
    const match = /^(?<facts>(?:[^\s=;]+=[^;]*;)+) (?<name>.+)$/.exec(line);
    const name = match?.groups?.['name'];
    if (name === undefined || name === '.' || name === '..') continue;
    const type = /(?:^|;)type=(?<type>[^;]*);/i.exec(match?.groups?.['facts'] ?? '')?.groups?.['type'];
    const info = new FileInfo(name);
    if (type?.toLowerCase() === 'file') info.type = FileType.File;
    else if (type?.toLowerCase() === 'dir') info.type = FileType.Directory;
    files.push(info);
  }
  return files;
}
