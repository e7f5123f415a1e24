import { describe, expect, it } from 'vitest';
import {
  decodeRecord,
  encodeBatch,
  firstRecordOffset,
  JournalRot,
  recordBytes,
  scanSegment,
  type JournalRecord,
} from '../../../emulator/services/dev-broker/journal-format.ts';

const published = (id: number, text: string): JournalRecord => ({
  kind: 'published',
  id,
  returns: id % 3,
  expiresAt: id % 2 === 0 ? undefined : 1_700_000_000_000 + id,
  message: Buffer.from(text),
});
const first: JournalRecord[] = [published(1, 'first'), published(2, '')];
const second: JournalRecord[] = [
  { kind: 'settled', id: 1 },
  { kind: 'returned', id: 2, returns: 7 },
  published(2 ** 40, 'BTJ1 looks like the beginning of a batch'),
];
const bytesOf = (...batches: JournalRecord[][]): Buffer => Buffer.concat(batches.flatMap(encodeBatch));
const recordsIn = (bytes: Buffer, last = true): JournalRecord[] =>
  scanSegment(bytes, { last }).records.map(({ record }) => record);

describe('a segment', () => {
  it('gives back what was written, and where', () => {
    const bytes = bytesOf(first, second);
    const { records, end } = scanSegment(bytes, { last: false });
    expect(records.map(({ record }) => record)).toEqual([...first, ...second]);
    expect(end).toBe(bytes.length);
    for (const { record, offset, bytes: length } of records) {
      expect(decodeRecord(bytes, offset).record).toEqual(record);
      expect(length).toBe(recordBytes(record));
    }
    expect(records[0]?.offset).toBe(firstRecordOffset);
    expect(recordsIn(Buffer.alloc(0))).toEqual([]);
  });

  it('cut at any byte of its last batch gives everything before that batch', () => {
    const whole = bytesOf(first, second);
    const boundary = bytesOf(first).length;
    for (let length = boundary; length < whole.length; length++) {
      const { records, end } = scanSegment(whole.subarray(0, length), { last: true });
      expect(records).toHaveLength(first.length);
      expect(end).toBe(boundary);
    }
  });

  it('cut at any byte is an error when it is not the last one', () => {
    const whole = bytesOf(first, second);
    const boundary = bytesOf(first).length;
    for (let length = boundary + 1; length < whole.length; length++)
      expect(() => scanSegment(whole.subarray(0, length), { last: false })).toThrow(JournalRot);
  });

  it('with zeros where the last batch should be, as after a loss of power, gives everything before', () => {
    const whole = bytesOf(first, second);
    const boundary = bytesOf(first).length;
    whole.fill(0, boundary);
    expect(recordsIn(whole)).toEqual(first);
  });

  it('with any one byte of the first batch changed is an error that names its place', () => {
    const whole = bytesOf(first, second);
    const boundary = bytesOf(first).length;
    for (let place = 0; place < boundary; place++) {
      const rotten = Buffer.from(whole);
      rotten[place]! ^= 0x10;
      let thrown: unknown;
      try {
        scanSegment(rotten, { last: true });
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(JournalRot);
      expect((thrown as JournalRot).offset).toBeLessThanOrEqual(place);
    }
  });

  it('with any one byte of the last batch changed never gives back something else than was written', () => {
    const whole = bytesOf(first, second);
    for (let place = bytesOf(first).length; place < whole.length; place++) {
      const rotten = Buffer.from(whole);
      rotten[place]! ^= 0x10;
      expect(recordsIn(rotten)).toEqual(first);
    }
  });
});
