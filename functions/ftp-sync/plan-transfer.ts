// What to do with what lies in in/, in which order and under which names: decided from names and two looks at each file,
// without touching anything.
import { fileNameRule, parseFileName } from '../../contracts/file.ts';

/** SIZE and MDTM of a file at one moment. */
export interface Look {
  readonly size: number;
  readonly modifiedAt: Date;
}
export type Verdict =
  | { readonly kind: 'take' }
  /** A dot or part file: a producer is still writing it. */
  | { readonly kind: 'ignore' }
  /** The name may not even be used as a path. */
  | { readonly kind: 'unsafe'; readonly reason: string }
  | { readonly kind: 'reject'; readonly reason: string };

/** With the id, `.reason.txt` and what an upload is called meanwhile, it is what a file system takes: 255 bytes. */
const nameBytesMax = 190;

/** The verdict that the name alone allows. */
export function judgeName(name: string): Verdict {
  if (
    name === '' ||
    name === '.' ||
    name === '..' ||
    /[/\\\p{Cc}]/u.test(name) ||
    Buffer.byteLength(name) > nameBytesMax
  )
    return {
      kind: 'unsafe',
      reason: `a name may not be . or .., hold slashes or control characters, or be longer than ${nameBytesMax} bytes`,
    };
  if (name.startsWith('.') || name.endsWith('.part')) return { kind: 'ignore' };
  if (!parseFileName(name)) return { kind: 'reject', reason: fileNameRule };
  return { kind: 'take' };
}

/** A file whose size or time moved between the looks is still being written. */
export function isStable(first: Look | undefined, second: Look | undefined): second is Look {
  return (
    first !== undefined &&
    second !== undefined &&
    first.size === second.size &&
    first.modifiedAt.getTime() === second.modifiedAt.getTime()
  );
}

const freshMs = 30_000; // A producer that stalls, on a server that shows what it has written so far.

/**
 * Written so lately that its producer may still be at it. What a crawl deposits appears by being renamed, so it is whole, and
 * what is opened was judged before. Where the server's clock is another one, two looks have to do.
 */
export function isFresh(name: string, look: Look, now: Date): boolean {
  if (fileIdOf(name) !== undefined || parseFileName(name)?.crawlIntake !== undefined) return false;
  return Math.abs(now.getTime() - look.modifiedAt.getTime()) < freshMs;
}

/**
 * What a file is called from the moment it is opened: `a.csv` -> `a.baton-<id of its ledger row>.csv`. No two files share
 * such a name, so moving one overwrites none, and it says to which row the file belongs.
 */
export function takenName(name: string, fileId: string): string {
  const extension = /(?:\.(?:csv|ndjson|json))?(?:\.gz)?$/.exec(name)?.[0] ?? '';
  return `${name.slice(0, name.length - extension.length)}.baton-${fileId}${extension}`;
}

const idInName =
  /\.baton-(?<fileId>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=(?:\.(?:csv|ndjson|json))?(?:\.gz)?$)/;

/** What its producer called it, wherever it lies: by that name, its size and its time the ledger knows a file. */
export function givenName(name: string): string {
  return name.replace(idInName, '');
}

/** Undefined for a file that was not opened yet. */
export function fileIdOf(name: string): string | undefined {
  return idInName.exec(name)?.groups?.['fileId'];
}

/** Those of one source together, since their order among each other matters. Those of none are told apart from all others. */
export function bySource<T extends { readonly name: string }>(files: readonly T[]): T[][] {
  return [...Map.groupBy(files, ({ name }) => parseFileName(givenName(name))?.source).values()];
}
