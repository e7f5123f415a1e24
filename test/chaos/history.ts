// What happened in a run, one JSON object per line, each process into a file of its own: the only thing the checker sees.
// A line is written before what it announces is tried, so a process that is killed leaves no try unmentioned.
import { createReadStream, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** An item at a version, as all records name it. */
export interface ItemName {
  readonly source: string;
  readonly sku: string;
  readonly version: number;
}
export type HistoryRecord =
  /** A message is about to be published. Items as [sku, version, price]; `bad`: positions of those that no schema takes. */
  | {
      readonly kind: 'attempt';
      readonly message: string;
      readonly source: string;
      readonly items: readonly (readonly [sku: string, version: number, price: number])[];
      readonly bad?: readonly number[];
      /** The message as a whole cannot be read. */
      readonly poison?: true;
    }
  | { readonly kind: 'confirmed'; readonly message: string }
  | { readonly kind: 'in-doubt'; readonly message: string; readonly reason: string }
  /** A watch was stored before the first message was published. */
  | { readonly kind: 'watch'; readonly recipient: string; readonly source: string; readonly sku: string }
  /** Noted by the database as a transaction commits: applications and claims share one order. */
  | ({
      readonly kind: 'applied';
      readonly order: number;
      readonly oldVersion: number | null;
      readonly price: number;
      readonly term: number;
      /** What the fence said at the commit. */
      readonly fenceTerm: number;
    } & ItemName)
  | { readonly kind: 'claimed'; readonly order: number; readonly term: number; readonly holder: string }
  /** What stands there in the end. */
  | ({ readonly kind: 'row'; readonly price: number } & ItemName)
  | ({ readonly kind: 'event'; readonly id: number } & ItemName)
  /** Somebody is to be told. Several may share a mail; `state` is its mail's, `gathered` before there is one. */
  | ({
      readonly kind: 'effect';
      readonly recipient: string;
      readonly messageId: string;
      readonly state: string;
      /** How often its outcome was not known. */
      readonly unknowns: number;
    } & ItemName)
  | { readonly kind: 'dead'; readonly message: string; readonly code: string; readonly reason: string }
  /** The SMTP server took it. */
  | { readonly kind: 'mail'; readonly messageId: string }
  /** A reader's look at a row, where it differs from its look before. */
  | ({ readonly kind: 'looked'; readonly reader: string } & ItemName)
  | ({ readonly kind: 'streamed'; readonly reader: string; readonly id: number } & ItemName)
  /** The stream was not resumed but begun anew. */
  | { readonly kind: 'reset'; readonly reader: string }
  | {
      readonly kind: 'drained';
      /** Messages in each queue, after all that could be done was done. */
      readonly queues: Readonly<Record<string, number>>;
      /** What the system itself says it has stored. */
      readonly itemVersions: number;
      readonly feedLast: number;
    }
  | { readonly kind: 'fault'; readonly what: string; readonly detail: string };

export interface HistoryWriter {
  write(record: HistoryRecord): void;
}

/** Handed to the kernel before `write` returns, which a kill of this process cannot take back. */
export function openHistory(folder: string, name: string): HistoryWriter {
  const file = openSync(join(folder, `${name}.ndjson`), 'a');
  return {
    write: (record) => void writeSync(file, `${JSON.stringify({ at: Date.now(), ...record })}\n`),
  };
}

/** File by file; within one, in the order in which its process wrote. */
export async function* readHistory(
  folder: string,
  { only = /\.ndjson$/ }: { only?: RegExp } = {},
): AsyncGenerator<HistoryRecord> {
  for (const name of readdirSync(folder).sort())
    if (only.test(name))
      for await (const line of createInterface({ input: createReadStream(join(folder, name)) }))
        yield JSON.parse(line) as HistoryRecord;
}
