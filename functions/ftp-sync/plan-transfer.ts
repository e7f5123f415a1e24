// What to do with what lies in in/: decided from names and two looks at each file, without touching anything.
import { parseFileName } from '../../contracts/file.ts';

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

/** The verdict that the name alone allows. */
export function judgeName(name: string): Verdict {
  if (
    name === '' ||
    name === '.' ||
    name === '..' ||
    /[/\\\p{Cc}]/u.test(name) ||
    Buffer.byteLength(name) > 255
  )
    return {
      kind: 'unsafe',
      reason: 'a name may not be . or .., hold slashes or control characters, or be longer than 255 bytes',
    };
  if (name.startsWith('.') || name.endsWith('.part')) return { kind: 'ignore' };
  if (!parseFileName(name))
    return {
      kind: 'reject',
      reason:
        'its name says no source or no known format: <source>_<anything>.<csv|ndjson|json>[.gz] is expected, with a source of lower case letters, digits and dashes',
    };
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

/** `a.csv` -> `a_2.csv`, before the first dot that begins the format, so that the name keeps its meaning. */
export function numberedName(name: string, number: number): string {
  const extension = /(?:\.(?:csv|ndjson|json))?(?:\.gz)?$/.exec(name)?.[0] ?? '';
  return `${name.slice(0, name.length - extension.length)}_${number}${extension}`;
}
