// Files on the FTP server: where they lie, what their names mean, how large they may be.
// in/ is read; done/ and rejected/ are written beside it; out/ is only written.
import { intakeMax, sourceNameSchema } from './ids.ts';

export const folders = { in: 'in', done: 'done', rejected: 'rejected', out: 'out' } as const;

export const fileBytesMax = 1024 ** 3;
/** What a compressed file may unpack to. */
export const unpackedBytesMax = 4 * 1024 ** 3;
export const fileLineBytesMax = 64 * 1024;

export type FileFormat = 'csv' | 'ndjson' | 'json';
export interface FileName {
  readonly source: string;
  readonly format: FileFormat;
  readonly compressed: boolean;
  /** Set for the file a crawl of ours deposits: `<source>_crawl-<intake>.ndjson`. */
  readonly crawlIntake: number | undefined;
}

/** Why a file is rejected whose name `parseFileName` does not understand. */
export const fileNameRule =
  'its name says no source or no known format: <source>[_<anything>].<csv|ndjson|json>[.gz] is read, with a source of lower case letters, digits and inner dashes';

/**
 * What `fileNameRule` says. Undefined for another name: such a file is rejected, not ignored. In the database
 * `source_of_file` reads the source of what was understood here.
 */
export function parseFileName(name: string): FileName | undefined {
  const match = /^(?<source>[a-z0-9-]+)(?:_(?<rest>[^/]*))?\.(?<format>csv|ndjson|json)(?<gz>\.gz)?$/u.exec(
    name,
  );
  if (!match?.groups || !sourceNameSchema.safeParse(match.groups['source']).success) return undefined;
  // More digits than an intake has are somebody's date.
  const crawl = /^crawl-(?<intake>[0-9]{1,9})$/.exec(match.groups['rest'] ?? '');
  const intake = Number(crawl?.groups?.['intake']);
  return {
    source: match.groups['source'] as string,
    format: match.groups['format'] as FileFormat,
    compressed: match.groups['gz'] !== undefined,
    crawlIntake: intake >= 1 && intake <= intakeMax ? intake : undefined,
  };
}

export function crawlFileName({ source, intake }: { source: string; intake: number }): string {
  return `${source}_crawl-${intake}.ndjson`;
}
