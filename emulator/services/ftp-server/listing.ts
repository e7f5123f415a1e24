// Lines of MLSD/MLST (RFC 3659 section 7), LIST (as `ls -l` prints) and NLST. Symbolic links are not shown.
import { lstat, readdir } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';

export interface Entry {
  readonly name: string;
  readonly stats: Stats;
}
const entriesMax = 50_000;

/** @throws Error when the folder is larger than a listing may be: a part of it would look like the whole. */
export async function readFolder(path: string): Promise<Entry[]> {
  const names = await readdir(path);
  if (names.length > entriesMax) throw new Error(`a folder holds more than ${entriesMax} entries`);
  const entries: Entry[] = [];
  for (const name of names.toSorted()) {
    // A file may be moved away between the two calls; it is then no longer part of the folder.
    const stats = await lstat(join(path, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (stats && (stats.isFile() || stats.isDirectory()) && !/\p{Cc}/u.test(name))
      entries.push({ name, stats });
  }
  return entries;
}

/** `YYYYMMDDHHMMSS.sss`, UTC. */
export function ftpTime(date: Date): string {
  return date.toISOString().replace(/[-:TZ]/g, '');
}

/** Undefined when it is not a time. */
export function parseFtpTime(text: string): Date | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d{1,3})?$/.exec(text);
  if (!match) return undefined;
  const date = new Date(
    `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}${match[7] ?? ''}Z`,
  );
  return Number.isNaN(date.getTime()) ? undefined : date;
}

export function factsOf({ stats }: Entry, modify = ftpTime(stats.mtime)): string {
  const kind = stats.isDirectory() ? 'type=dir;' : `type=file;size=${stats.size};`;
  return `${kind}modify=${modify};unique=${stats.dev.toString(16)}g${stats.ino.toString(16)};`;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
export function listLine({ name, stats }: Entry): string {
  const mode = stats.isDirectory() ? 'drwxr-xr-x' : '-rw-r--r--';
  const time = stats.mtime.toISOString();
  const day = time.slice(8, 10);
  const recent = Date.now() - stats.mtimeMs < 180 * 24 * 3_600_000;
  return `${mode} 1 ftp ftp ${String(stats.size).padStart(12)} ${months[stats.mtime.getUTCMonth()]} ${day} ${recent ? time.slice(11, 16) : ` ${time.slice(0, 4)}`} ${name}`;
}
