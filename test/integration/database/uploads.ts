// Files as ftp-sync brings them to the leader, for tests of what the database makes of them: opened, staged, applied.
import { randomUUID } from 'node:crypto';
import { itemVersion } from '../../../contracts/ids.ts';
import type { Item } from '../../../contracts/item.ts';
import type { FileAnswer, FileOpenAnswer } from '../../../contracts/node-api.ts';
import type { Store } from '../../../nodes/store.ts';
import { item, partner, traceparent } from './fresh-database.ts';

const first = '2026-01-01T00:00:00.000Z';

interface Row {
  readonly place: number;
  readonly item: Item;
}
/** A partner's row: its version comes from its place, once the file's intake is known. */
export function row(sku: string, place: number, content: Partial<Item> = {}): Row {
  return { place, item: item(sku, 0, { source: 'acme', ...content }) };
}
export function crawled(sku: string, intake: number, ordinal: number, content: Partial<Item> = {}): Item {
  return item(sku, itemVersion({ intake, ordinal }), content);
}
export function stage(opened: FileOpenAnswer, rows: readonly Row[]) {
  return rows.map(({ place, item }) => ({
    row: place,
    item:
      item.version === 0
        ? { ...item, version: itemVersion({ intake: intakeOf(opened), ordinal: place }) }
        : item,
  }));
}

export async function leadWithPartner(
  store: Store,
  settings: Parameters<typeof partner>[1] = {},
): Promise<void> {
  await store.claim({ term: 1, holder: 'node-1/boot-1' });
  await store.putSource(1, partner('acme', settings));
}
/** A crawl from its lease to its end; answers its intake. */
export async function crawl(store: Store): Promise<number> {
  const lease = await store.takeCrawl(1, { owner: 'w', leaseMs: 60_000, source: 'shop' });
  if (!lease) throw new Error('no crawl was handed out');
  await store.updateCrawl(1, lease.crawlId, {
    owner: 'w',
    leaseMs: 60_000,
    status: 'finished',
    counts: { pages: 1, notModified: 0, failedPages: 0, itemsSeen: 1, itemsPublished: 1 },
    state: { zstd: '' },
  });
  return lease.intake;
}
export function open(
  store: Store,
  file: { name?: string; size?: number; modifiedAt?: string } = {},
): Promise<FileOpenAnswer> {
  return store.openFile(1, { name: 'acme.csv', size: 100, modifiedAt: first, traceparent, ...file });
}
const known = new Map<string, number>();
/** Of an opened file; remembered, since a file that is done tells it no more. */
export function intakeOf(opened: FileOpenAnswer): number {
  if (opened.kind === 'upload') known.set(opened.fileId, opened.intake);
  const intake = known.get(opened.fileId);
  if (intake === undefined) throw new Error(`the file is ${opened.kind}`);
  return intake;
}
export async function upload(
  store: Store,
  opened: FileOpenAnswer,
  rows: readonly Row[],
  invalid = 0,
): Promise<FileAnswer> {
  const id = randomUUID();
  const staged = stage(opened, rows);
  for (let start = 0; start < staged.length; start += 5_000)
    await store.stageRows(id, staged.slice(start, start + 5_000));
  return apply(store, opened.fileId, id, rows.length + invalid, invalid);
}
export function apply(
  store: Store,
  fileId: string,
  id: string,
  rows: number,
  invalid = 0,
): Promise<FileAnswer> {
  // The last ones are the bad ones.
  const problems = Array.from(
    { length: invalid },
    (_, nth) => `row ${rows - invalid + nth + 1}: inStock: missing`,
  );
  return store.applyUpload(1, { fileId, upload: id, sha256: 'f'.repeat(64), rows, invalid, problems });
}
