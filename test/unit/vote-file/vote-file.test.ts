// Term and vote on disk: what survives torn writes, rot, a full disk and somebody else's file.
import * as fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { takeIdentityLock } from '../../../nodes/identity/identity-lock.ts';
import {
  makeFirstVoteFile,
  openVoteFile,
  setVoteFileAside,
  type Disk,
  type VoteFileOptions,
} from '../../../nodes/identity/vote-file.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = fs.mkdtempSync(join(tmpdir(), 'baton-vote-'));
});
afterEach(() => fs.rmSync(dataDir, { recursive: true }));

const clusterId = '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0';
const openIt = (over: Partial<VoteFileOptions> = {}) =>
  openVoteFile({
    dataDir,
    clusterId,
    nodeId: 'node-1',
    generation: 1,
    knownToDatabase: true,
    termAtLeast: 0,
    ...over,
  });
const path = () => join(dataDir, 'vote');
const recovered = (over: Partial<VoteFileOptions> = {}) => {
  const file = openIt(over);
  file.close();
  return file.recovered;
};
function writeVote(term: number, votedFor: string | null, over: Partial<VoteFileOptions> = {}): void {
  const file = openIt({ knownToDatabase: false, ...over });
  file.write({ term, votedFor, abstaining: false });
  file.close();
}

/** Where the two slots begin, and how long one is: as docs and the file's header say, not as the code computes. */
const slotA = 0;
const slotB = 4_096;
const slotLength = 512;

describe('vote file: what is found', () => {
  test('the last vote, after any number of them', () => {
    writeVote(1, 'node-1');
    writeVote(2, null);
    writeVote(7, 'node-3');
    expect(recovered()).toEqual({ kind: 'found', persisted: { term: 7, votedFor: 'node-3' } });
  });

  test('none, for a node that the database never saw: first; and the next start finds term 0', () => {
    expect(recovered({ knownToDatabase: false })).toEqual({ kind: 'first' });
    expect(recovered()).toEqual({ kind: 'found', persisted: { term: 0, votedFor: null } });
  });

  test('a generation is entered with the highest term recorded, on disk before anything else; a restart in it is not held up', () => {
    writeVote(4, 'node-2');
    expect(recovered({ termAtLeast: 9 })).toEqual({
      kind: 'found',
      persisted: { term: 4, votedFor: 'node-2' },
    });
    const entered = { kind: 'found', persisted: { term: 9, votedFor: null } };
    expect(recovered({ generation: 2, termAtLeast: 9 })).toEqual(entered);
    expect(recovered({ generation: 2 })).toEqual(entered);
    expect(recovered({ generation: 3, termAtLeast: 7 })).toEqual(entered);
  });

  test('a new member begins with the highest term recorded, and one that lost its votes is told it', () => {
    const fresh = recovered({ knownToDatabase: false, generation: 2, termAtLeast: 9 });
    expect(fresh).toEqual({ kind: 'found', persisted: { term: 9, votedFor: null } });
    fs.rmSync(path());
    expect(recovered({ generation: 2, termAtLeast: 9 })).toEqual({ kind: 'lost', term: 9 });
    expect(recovered({ generation: 2 })).toEqual({ kind: 'lost', term: 9 });
  });

  test('none, for a node that the database knows: lost, and lost it stays through restarts', () => {
    expect(recovered()).toEqual({ kind: 'lost', term: 0 });
    expect(recovered()).toEqual({ kind: 'lost', term: 0 });
    const file = openIt();
    file.write({ term: 5, votedFor: null, abstaining: true });
    file.close();
    expect(recovered({ knownToDatabase: false })).toEqual({ kind: 'lost', term: 5 });
    const again = openIt();
    again.write({ term: 5, votedFor: 'node-2', abstaining: false });
    again.close();
    expect(recovered()).toEqual({ kind: 'found', persisted: { term: 5, votedFor: 'node-2' } });
  });

  test('made before the database knows the node: a start that ends in between has lost nothing; never in place of a file', () => {
    makeFirstVoteFile({ dataDir, clusterId, nodeId: 'node-1' });
    expect(recovered({ generation: 2, termAtLeast: 9 })).toEqual({
      kind: 'found',
      persisted: { term: 9, votedFor: null },
    });
    makeFirstVoteFile({ dataDir, clusterId, nodeId: 'node-1' });
    expect(recovered({ generation: 2 })).toEqual({ kind: 'found', persisted: { term: 9, votedFor: null } });
  });

  test('of a term before the one that this node once started in: an older file, so votes are lost, through restarts too', () => {
    writeVote(5, 'node-2');
    expect(recovered({ recordedTerm: 5 })).toEqual({
      kind: 'found',
      persisted: { term: 5, votedFor: 'node-2' },
    });
    expect(recovered({ recordedTerm: 6, termAtLeast: 8 })).toEqual({ kind: 'lost', term: 8 });
    expect(recovered()).toEqual({ kind: 'lost', term: 8 });
  });

  test('set aside it is lost, also while a process still has it open', () => {
    writeVote(5, 'node-2');
    const file = openIt();
    setVoteFileAside(dataDir);
    file.write({ term: 9, votedFor: 'node-2', abstaining: false });
    file.close();
    expect(recovered({ recordedTerm: 6, termAtLeast: 8 })).toEqual({ kind: 'lost', term: 8 });
  });

  test('any one rotten byte of a record is repaired from the other slot, and the repair is on disk', () => {
    writeVote(3, 'node-1');
    writeVote(9, 'node-2');
    const whole = fs.readFileSync(path());
    const offsets = [slotA, slotB].flatMap((slot) => Array.from({ length: 260 }, (_, index) => slot + index));
    for (const offset of offsets) {
      const rotten = Buffer.from(whole);
      rotten[offset] = (rotten[offset] ?? 0) ^ 0x41;
      fs.writeFileSync(path(), rotten);
      expect(recovered(), `byte ${offset}`).toEqual({
        kind: 'found',
        persisted: { term: 9, votedFor: 'node-2' },
      });
      // The other slot may go now: both hold the record again.
      const other = Buffer.from(fs.readFileSync(path()));
      other.fill(0xff, offset < slotB ? slotB : slotA, (offset < slotB ? slotB : slotA) + slotLength);
      fs.writeFileSync(path(), other);
      expect(recovered(), `after byte ${offset}`).toMatchObject({ persisted: { term: 9 } });
    }
  });

  test('both slots rotten, an empty file, a file of zeros, a cut one: lost, never a vote made up', () => {
    writeVote(9, 'node-2');
    const rotten = fs.readFileSync(path());
    rotten[slotA + 40] = 0;
    rotten[slotB + 40] = 0;
    for (const bytes of [rotten, Buffer.alloc(0), Buffer.alloc(4_608), Buffer.alloc(10, 0x42)]) {
      fs.writeFileSync(path(), bytes);
      expect(recovered({ knownToDatabase: false })).toEqual({ kind: 'lost', term: 0 });
    }
  });
});

describe('vote file: power fails while writing', () => {
  test('at any byte of either slot the file holds the vote before or the vote after, and after once slot A is whole', () => {
    writeVote(4, 'node-1');
    const before = fs.readFileSync(path());
    writeVote(5, 'node-3');
    const after = fs.readFileSync(path());
    const tornAt = (slot: number, cut: number): unknown => {
      const torn = Buffer.from(before);
      if (slot === slotB) after.copy(torn, slotA, slotA, slotA + slotLength);
      after.copy(torn, slot, slot, slot + cut);
      fs.writeFileSync(path(), torn);
      return recovered();
    };
    const older = { kind: 'found', persisted: { term: 4, votedFor: 'node-1' } };
    const newer = { kind: 'found', persisted: { term: 5, votedFor: 'node-3' } };
    for (let cut = 0; cut < slotLength; cut++) {
      expect([older, newer], `slot A, cut at ${cut}`).toContainEqual(tornAt(slotA, cut));
      expect(tornAt(slotB, cut), `slot B, cut at ${cut}`).toEqual(newer);
    }
    // The record says what changed first and ends in bytes that did not; the cut is before all of them.
    expect(tornAt(slotA, 20)).toEqual(older);
    expect(tornAt(slotA, slotLength)).toEqual(newer);
  });

  test('slot A is synced before slot B is touched, and B before write returns', () => {
    const calls: string[] = [];
    const disk: Disk = {
      writeAt: (fd, bytes, position) => {
        calls.push(`write ${position}`);
        fs.writeSync(fd, bytes, 0, bytes.length, position);
      },
      sync: (fd) => {
        calls.push('sync');
        fs.fdatasyncSync(fd);
      },
    };
    writeVote(1, null, { disk });
    expect(calls).toEqual(['write 0', 'sync', 'write 4096', 'sync']);
  });
});

describe('vote file: a disk that is full', () => {
  test('the write throws ENOSPC, and the vote before is still what a restart finds', () => {
    writeVote(4, 'node-1');
    // The kernel's own refusal: /dev/full answers every write with ENOSPC.
    const full = fs.openSync('/dev/full', 'w');
    const disk: Disk = {
      writeAt: (_fd, bytes, position) => {
        fs.writeSync(full, bytes, 0, bytes.length, position);
      },
      sync: (fd) => fs.fdatasyncSync(fd),
    };
    const file = openIt({ disk });
    expect(() => file.write({ term: 5, votedFor: 'node-2', abstaining: false })).toThrow(/ENOSPC/);
    file.close();
    fs.closeSync(full);
    expect(recovered()).toEqual({ kind: 'found', persisted: { term: 4, votedFor: 'node-1' } });
  });

  test('a data folder that cannot be written: the first start says which file', () => {
    expect(() => openIt({ dataDir: join(dataDir, 'missing'), knownToDatabase: false })).toThrow(
      `making the vote file ${join(dataDir, 'missing', 'vote')}`,
    );
  });
});

describe('vote file: whose it is', () => {
  test('another cluster, another node or a generation that fell: refused, both named, file untouched', () => {
    writeVote(4, 'node-1', { generation: 3 });
    const before = fs.readFileSync(path());
    const other = '11111111-2222-4333-8444-555555555555';
    expect(() => openIt({ clusterId: other, generation: 3 })).toThrow(new RegExp(`${clusterId}.*${other}`));
    expect(() => openIt({ nodeId: 'node-2', generation: 3 })).toThrow(/node-1.*node-2/);
    expect(() => openIt({ generation: 2 })).toThrow(/generation 3.*2/);
    expect(fs.readFileSync(path())).toEqual(before);
  });

  test('a higher generation is on disk as soon as the file is open', () => {
    writeVote(4, 'node-1');
    openIt({ generation: 2 }).close();
    expect(() => openIt({ generation: 1 })).toThrow(/never falls/);
    expect(recovered({ generation: 2 })).toEqual({
      kind: 'found',
      persisted: { term: 4, votedFor: 'node-1' },
    });
  });

  test('a file of a newer release is refused by that name and left alone', () => {
    writeVote(4, 'node-1');
    // Version 2 in both slots, with a right checksum, as a newer release would write it.
    const script = `
      import { crc32 } from 'node:zlib';
      import { readFileSync, writeFileSync } from 'node:fs';
      const bytes = readFileSync(process.argv[1]);
      for (const slot of [0, 4096]) {
        bytes[slot + 9] = 2;
        bytes.writeUInt32BE(crc32(bytes.subarray(slot + 14, slot + 512), 2), slot + 10);
      }
      writeFileSync(process.argv[1], bytes);`;
    spawnSync(process.execPath, ['--input-type=module', '-e', script, path()]);
    const before = fs.readFileSync(path());
    expect(() => openIt()).toThrow(/newer release \(format 2/);
    expect(fs.readFileSync(path())).toEqual(before);
  });
});

describe('identity lock', () => {
  test('a second holder is refused by name, and free to go once the first lets go', () => {
    const unlock = takeIdentityLock({ dataDir, nodeId: 'node-1' });
    expect(() => takeIdentityLock({ dataDir, nodeId: 'node-1' })).toThrow(/already runs as node-1/);
    unlock();
    takeIdentityLock({ dataDir, nodeId: 'node-1' })();
  });

  test('another process is refused while it is held, and it is free at once after kill -9 of its holder', async () => {
    const { spawn } = await import('node:child_process');
    const module = new URL('../../../nodes/identity/identity-lock.ts', import.meta.url).href;
    const script = `
      const { takeIdentityLock } = await import(${JSON.stringify(module)});
      takeIdentityLock({ dataDir: process.argv[1], nodeId: 'node-1' });
      for (let round = 0; round < 5; round++) { gc(); await new Promise((resolve) => setImmediate(resolve)); }
      console.log('held');
      setInterval(() => {}, 1000);`;
    // It keeps nothing of what it was given: a collection of garbage must not let go.
    const flags = ['--expose-gc', '--input-type=module'];
    const holder = spawn(process.execPath, [...flags, '-e', script, dataDir], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    expect(() => takeIdentityLock({ dataDir, nodeId: 'node-1' })).toThrow(
      new RegExp(String.raw`already runs as node-1 .*\(pid ${holder.pid} on \S+ holds .*identity\.lock\)`),
    );
    const ended = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await ended;
    takeIdentityLock({ dataDir, nodeId: 'node-1' })();
  });
});
