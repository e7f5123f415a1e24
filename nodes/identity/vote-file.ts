// Term and vote on disk, so that a node that crashes and comes back never votes twice in one term.
// Two slots with the same record: slot A, fdatasync, slot B, fdatasync. A torn write spoils one slot and leaves
// the other. Slots that alternate would save a write, but then a newest record that rots later looks
// like a torn write, the older one is believed, and the node votes twice.
// Never decides about votes, and never writes behind the caller's back once it is open.
import { crc32 } from 'node:zlib';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { Persisted, Recovered } from '../raft/types.ts';

const slotLength = 512;
/** One slot per page, so that no single sector or page write touches both. */
const slotOffsets = [0, 4_096] as const;
const fileLength = slotOffsets[1] + slotLength;
const magic = 'BATONVOTE';
const formatVersion = 1;

interface VoteRecord extends Persisted {
  /** Rises with each write: the higher of two valid slots is the newer one. */
  readonly sequence: number;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly generation: number;
  /** A file before this one was lost and the node does not vote yet: a restart must not forget that. */
  readonly abstaining: boolean;
}

export interface VoteFile {
  readonly recovered: Recovered;
  /**
   * Durable when it returns; at least one slot holds a whole record at any moment in between.
   * @throws the system's error (ENOSPC, EIO ...): the record may or may not be on disk, so nothing that
   * follows from it may be sent until a later write of it, or of a newer one, succeeds.
   */
  write(record: Persisted & { readonly abstaining: boolean }): void;
  close(): void;
}

/** The two system calls that can fail while running; tests hand in a disk that is full. */
export interface Disk {
  writeAt(fd: number, bytes: Buffer, position: number): void;
  sync(fd: number): void;
}
const realDisk: Disk = {
  writeAt: (fd, bytes, position) => {
    const written = fs.writeSync(fd, bytes, 0, bytes.length, position);
    if (written !== bytes.length) throw new Error(`wrote ${written} of ${bytes.length} bytes`);
  },
  sync: (fd) => fs.fdatasyncSync(fd),
};

export interface VoteFileOptions {
  readonly dataDir: string;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly generation: number;
  /** The database has seen this node before: a missing file is a lost one. */
  readonly knownToDatabase: boolean;
  /** Of this node, when it started the last time, as the database recorded it: a file that says less is an older one. */
  readonly recordedTerm?: number;
  /** No vote in this term or an older one is given in a generation that is new to this node (nodes/raft/membership.ts). */
  readonly termAtLeast: number;
  readonly disk?: Disk;
}

/**
 * Makes the vote file of a node that never ran, before the database records the node: a start that ends between the two has
 * lost nothing, and is a first one again. Its generation 0 is nobody's. Does nothing where there is a file, whatever it holds.
 */
export function makeFirstVoteFile({
  dataDir,
  clusterId,
  nodeId,
}: Pick<VoteFileOptions, 'dataDir' | 'clusterId' | 'nodeId'>): void {
  const path = join(dataDir, 'vote');
  if (readVoteFile(path).kind !== 'missing') return;
  const start = { sequence: 0, generation: 0, term: 0, votedFor: null, abstaining: false };
  create(path, { ...start, clusterId, nodeId });
}

/** From now on it counts as lost, should this process end at once, too. What it says stays beside it, for people. */
export function setVoteFileAside(dataDir: string): void {
  const path = join(dataDir, 'vote');
  fs.renameSync(path, `${path}.older`);
  syncFolderOf(path);
}

/** @throws Error when the file belongs to another cluster, node or a later generation (names both), or cannot be made. */
export function openVoteFile(options: VoteFileOptions): VoteFile {
  const { dataDir, clusterId, nodeId, generation, disk = realDisk } = options;
  const path = join(dataDir, 'vote');
  const found = readVoteFile(path);
  if (found.kind === 'record') refuseForeign(path, found.record, options);

  const recovered = judgeFound(found, options);
  const start: VoteRecord = {
    sequence: found.kind === 'record' ? found.record.sequence : 0,
    clusterId,
    nodeId,
    generation,
    ...persistedAtStart(recovered),
    abstaining: recovered.kind === 'lost',
  };
  if (found.kind === 'missing') create(path, start);
  const fd = fs.openSync(path, 'r+');
  let sequence = start.sequence;
  const writeBoth = (record: Omit<VoteRecord, 'sequence' | 'clusterId' | 'nodeId' | 'generation'>): void => {
    sequence += 1;
    const bytes = encodeSlot({ ...record, sequence, clusterId, nodeId, generation });
    for (const offset of slotOffsets) {
      disk.writeAt(fd, bytes, offset);
      disk.sync(fd);
    }
  };
  try {
    // Repairs a bad or older slot, and puts on disk, before any vote, the generation and that the votes are lost.
    if (
      found.kind === 'unreadable' ||
      (found.kind === 'record' &&
        (!found.whole ||
          found.record.generation !== generation ||
          found.record.abstaining !== start.abstaining))
    )
      writeBoth(start);
  } catch (error) {
    fs.closeSync(fd);
    throw new Error(`writing the vote file ${path}`, { cause: error });
  }
  return { recovered, write: writeBoth, close: () => fs.closeSync(fd) };
}

type Found =
  | { readonly kind: 'missing' }
  /** Both slots are damaged. */
  | { readonly kind: 'unreadable' }
  /** `whole`: both slots hold this record. */
  | { readonly kind: 'record'; readonly record: VoteRecord; readonly whole: boolean };

function readVoteFile(path: string): Found {
  let bytes: Buffer;
  try {
    bytes = readAtMost(path, fileLength);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { kind: 'missing' };
    throw new Error(`reading the vote file ${path}`, { cause: error });
  }
  const slots = slotOffsets.map((offset) => bytes.subarray(offset, offset + slotLength)).filter(isWhole);
  const newer = slots.find((slot) => (slot[magic.length] ?? 0) > formatVersion);
  if (newer)
    throw new Error(
      `${path} was written by a newer release (format ${newer[magic.length]}, this one knows ${formatVersion})`,
    );
  const records = slots.map(decodeSlot).sort((one, other) => other.sequence - one.sequence);
  const [record] = records;
  if (!record) return { kind: 'unreadable' };
  return { kind: 'record', record, whole: records.length === 2 && records[1]?.sequence === record.sequence };
}

function readAtMost(path: string, length: number): Buffer {
  const fd = fs.openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, fs.readSync(fd, bytes, 0, length, 0));
  } finally {
    fs.closeSync(fd);
  }
}

function judgeFound(
  found: Found,
  { knownToDatabase, recordedTerm = 0, generation, termAtLeast }: VoteFileOptions,
): Recovered {
  const lost: Recovered = { kind: 'lost', term: termAtLeast };
  if (found.kind === 'unreadable') return lost;
  if (found.kind === 'missing') {
    if (knownToDatabase) return lost;
    const persisted = { term: termAtLeast, votedFor: null };
    return termAtLeast === 0 ? { kind: 'first' } : { kind: 'found', persisted };
  }
  const { term, votedFor, abstaining } = found.record;
  if (abstaining || term < recordedTerm) return { kind: 'lost', term: Math.max(term, termAtLeast) };
  const entered = found.record.generation !== generation && term < termAtLeast;
  return { kind: 'found', persisted: entered ? { term: termAtLeast, votedFor: null } : { term, votedFor } };
}
function persistedAtStart(recovered: Recovered): Persisted {
  if (recovered.kind === 'found') return recovered.persisted;
  return { term: recovered.kind === 'lost' ? recovered.term : 0, votedFor: null };
}

function refuseForeign(path: string, record: VoteRecord, expected: VoteFileOptions): void {
  if (record.clusterId !== expected.clusterId)
    throw new Error(
      `${path} belongs to cluster ${record.clusterId}, the database to cluster ${expected.clusterId}: wrong data folder or wrong database`,
    );
  if (record.nodeId !== expected.nodeId)
    throw new Error(
      `${path} belongs to node ${record.nodeId}, this is node ${expected.nodeId}: wrong data folder`,
    );
  if (record.generation > expected.generation)
    throw new Error(
      `${path} has seen generation ${record.generation} of the membership, this start is configured for ${expected.generation}: the generation never falls`,
    );
}

/** Whole and durable under its name, or not there at all; never in place of another one. */
function create(path: string, record: VoteRecord): void {
  const temporary = `${path}.new`;
  const bytes = Buffer.alloc(fileLength);
  for (const offset of slotOffsets) encodeSlot(record).copy(bytes, offset);
  try {
    const fd = fs.openSync(temporary, 'w', 0o600);
    try {
      realDisk.writeAt(fd, bytes, 0);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.linkSync(temporary, path); // Renaming would replace the file of another start of this node.
    fs.unlinkSync(temporary);
    syncFolderOf(path);
  } catch (error) {
    throw new Error(`making the vote file ${path}`, { cause: error });
  }
}

function syncFolderOf(path: string): void {
  const folder = fs.openSync(dirname(path), 'r');
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}

/** magic, version u8, crc32 u32 of the rest, length u16, JSON, zeros. */
function encodeSlot(record: VoteRecord): Buffer {
  const slot = Buffer.alloc(slotLength);
  const text = Buffer.from(JSON.stringify(record));
  const bodyOffset = magic.length + 7;
  if (text.length > slotLength - bodyOffset)
    throw new RangeError(`a vote record of ${text.length} bytes does not fit`);
  slot.write(magic, 0);
  slot[magic.length] = formatVersion;
  slot.writeUInt16BE(text.length, magic.length + 5);
  text.copy(slot, bodyOffset);
  // Seeded with the version, so that a flipped bit in it is a bad slot and not a newer release.
  slot.writeUInt32BE(crc32(slot.subarray(magic.length + 5), formatVersion), magic.length + 1);
  return slot;
}

function isWhole(slot: Buffer): boolean {
  return (
    slot.length === slotLength &&
    slot.toString('latin1', 0, magic.length) === magic &&
    slot.readUInt32BE(magic.length + 1) === crc32(slot.subarray(magic.length + 5), slot[magic.length])
  );
}

/** Reads a slot that is whole, and therefore what encodeSlot wrote. */
function decodeSlot(slot: Buffer): VoteRecord {
  const bodyOffset = magic.length + 7;
  const length = slot.readUInt16BE(magic.length + 5);
  return JSON.parse(slot.toString('utf8', bodyOffset, bodyOffset + length)) as VoteRecord;
}

/** What an earlier start of this node left: enough to start again while the database is away. */
export function readIdentity(
  dataDir: string,
): { clusterId: string; generation: number; term: number; abstaining: boolean } | undefined {
  const found = readVoteFile(join(dataDir, 'vote'));
  if (found.kind !== 'record') return undefined;
  const { clusterId, generation, term, abstaining } = found.record;
  return { clusterId, generation, term, abstaining };
}
