// The bytes of a journal. A segment is a row of batches, each written and synced as one; a batch is a head and records.
// A checksum on each record tells what can be believed, the batch tells apart what may be lost (the last batch of the
// last segment: nobody was told it is safe) and what may not (everything before). Pure: no files here.
//
//   batch:   magic (4)  bytes of all records (4)  CRC-32 of both (4)  records
//   record:  kind (1)  id (6)  bytes of the payload (4)  CRC-32 of all that and the payload (4)  payload
//   payload: published: returns (4) expires at, ms since 1970, 0 for never (8) message; returned: returns (4)
//
// One thing it cannot tell: a last batch that was synced and rots later looks like one that was torn.
import { crc32 } from 'node:zlib';

const magic = Buffer.from('BTJ1', 'latin1'); // The digit is the version of this format.
const batchHeadBytes = 12;
const recordHeadBytes = 15;
const kinds = { published: 1, settled: 2, returned: 3 } as const;

export type JournalRecord =
  | {
      readonly kind: 'published';
      readonly id: number;
      readonly returns: number;
      readonly expiresAt: number | undefined;
      readonly message: Buffer;
    }
  | { readonly kind: 'settled'; readonly id: number }
  | { readonly kind: 'returned'; readonly id: number; readonly returns: number };

export interface Placed {
  readonly record: JournalRecord;
  /** Where it begins in the segment. */
  readonly offset: number;
  readonly bytes: number;
}

export class JournalRot extends Error {
  readonly offset: number;
  constructor(offset: number, reason: string) {
    super(`${reason} at byte ${offset}`);
    this.name = 'JournalRot';
    this.offset = offset;
  }
}

export function recordBytes(record: JournalRecord): number {
  switch (record.kind) {
    case 'published':
      return recordHeadBytes + 12 + record.message.length;
    case 'settled':
      return recordHeadBytes;
    case 'returned':
      return recordHeadBytes + 4;
  }
}

/** The batch, in pieces to be written one after the other; a message is not copied. */
export function encodeBatch(records: readonly JournalRecord[]): Buffer[] {
  const head = Buffer.alloc(batchHeadBytes);
  magic.copy(head);
  head.writeUInt32BE(
    records.reduce((bytes, record) => bytes + recordBytes(record), 0),
    4,
  );
  head.writeUInt32BE(crc32(head.subarray(0, 8)), 8);
  return [head, ...records.flatMap(encodeRecord)];
}

/** Where the records of a batch begin, from the batch's own beginning. */
export const firstRecordOffset = batchHeadBytes;

function encodeRecord(record: JournalRecord): Buffer[] {
  const rest = record.kind === 'published' ? [record.message] : [];
  const head = Buffer.alloc(recordBytes(record) - (rest[0]?.length ?? 0));
  head.writeUInt8(kinds[record.kind], 0);
  head.writeUIntBE(record.id, 1, 6);
  head.writeUInt32BE(recordBytes(record) - recordHeadBytes, 7);
  if (record.kind !== 'settled') head.writeUInt32BE(record.returns, recordHeadBytes);
  if (record.kind === 'published') head.writeDoubleBE(record.expiresAt ?? 0, recordHeadBytes + 4);
  head.writeUInt32BE(checksum(head.subarray(0, 11), head.subarray(recordHeadBytes), ...rest), 11);
  return [head, ...rest];
}

function checksum(...parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => crc32(part, sum), 0);
}

/** @throws JournalRot when the bytes at `offset` are no whole record. */
export function decodeRecord(bytes: Buffer, offset: number): Placed {
  if (offset + recordHeadBytes > bytes.length) throw new JournalRot(offset, 'an incomplete record');
  const payloadStart = offset + recordHeadBytes;
  const end = payloadStart + bytes.readUInt32BE(offset + 7);
  if (end > bytes.length) throw new JournalRot(offset, 'an incomplete record');
  const payload = bytes.subarray(payloadStart, end);
  if (checksum(bytes.subarray(offset, offset + 11), payload) !== bytes.readUInt32BE(offset + 11))
    throw new JournalRot(offset, 'a record with a wrong checksum');
  const id = bytes.readUIntBE(offset + 1, 6);
  return {
    record: readRecord(bytes.readUInt8(offset), id, payload, offset),
    offset,
    bytes: end - offset,
  };
}

function readRecord(kind: number, id: number, payload: Buffer, offset: number): JournalRecord {
  if (kind === kinds.settled && payload.length === 0) return { kind: 'settled', id };
  if (kind === kinds.returned && payload.length === 4)
    return { kind: 'returned', id, returns: payload.readUInt32BE(0) };
  if (kind === kinds.published && payload.length >= 12) {
    const expiresAt = payload.readDoubleBE(4);
    return {
      kind: 'published',
      id,
      returns: payload.readUInt32BE(0),
      expiresAt: expiresAt === 0 ? undefined : expiresAt,
      message: payload.subarray(12),
    };
  }
  throw new JournalRot(offset, `a record of unknown kind ${kind}`);
}

/**
 * All records of a segment in their order, and where the good part of it ends.
 * In the last segment a broken last batch is left out: the process or the machine ended while it was written.
 * @throws JournalRot when something broken is followed by a whole batch, or is not in the last segment.
 */
export function scanSegment(bytes: Buffer, { last }: { last: boolean }): { records: Placed[]; end: number } {
  const records: Placed[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    try {
      const batch = decodeBatch(bytes, offset);
      for (const placed of batch.records) records.push(placed);
      offset = batch.end;
    } catch (error) {
      if (!(error instanceof JournalRot) || !last || hasWholeBatch(bytes, offset + 1)) throw error;
      return { records, end: offset };
    }
  }
  return { records, end: offset };
}

function decodeBatch(bytes: Buffer, start: number): { records: Placed[]; end: number } {
  const head = bytes.subarray(start, start + batchHeadBytes);
  if (head.length < batchHeadBytes || !head.subarray(0, 4).equals(magic))
    throw new JournalRot(start, 'no batch');
  if (crc32(head.subarray(0, 8)) !== head.readUInt32BE(8))
    throw new JournalRot(start, 'a batch with a wrong checksum');
  const end = start + batchHeadBytes + head.readUInt32BE(4);
  if (end > bytes.length) throw new JournalRot(start, 'an incomplete batch');
  const records: Placed[] = [];
  for (let offset = start + batchHeadBytes; offset < end;) {
    const placed = decodeRecord(bytes.subarray(0, end), offset);
    records.push(placed);
    offset += placed.bytes;
  }
  return { records, end };
}

function hasWholeBatch(bytes: Buffer, from: number): boolean {
  for (let start = bytes.indexOf(magic, from); start >= 0; start = bytes.indexOf(magic, start + 1)) {
    try {
      decodeBatch(bytes, start);
      return true;
    } catch {
      // Not a batch: these four bytes stand in a message, or the batch is broken as well.
    }
  }
  return false;
}
