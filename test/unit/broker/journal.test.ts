// The journal on a real disk, without a broker around it.
import { cpSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal, type JournalEntry } from '../../../emulator/services/dev-broker/journal.ts';
import { WritePressure } from '../../../emulator/services/dev-broker/write-pressure.ts';

const segmentBytes = 2_000;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-journal-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (at = folder, segment = segmentBytes): ReturnType<typeof Journal.open> =>
  Journal.open({
    folder: at,
    pressure: new WritePressure(1_000_000),
    // Thrown where nobody catches it: the test run fails.
    onFatal: (error) => {
      throw error;
    },
    segmentBytes: segment,
  });
const publish = (journal: Journal, text: string): Promise<JournalEntry> =>
  journal.publish(Buffer.from(text), { expiresAt: undefined });
async function texts(journal: Journal, entries: readonly JournalEntry[]): Promise<string[]> {
  const read: string[] = [];
  for (const entry of entries) read.push((await journal.read(entry)).toString('utf8'));
  return read;
}
const segments = (at = folder): Promise<string[]> => readdir(at).then((names) => names.sort());
/** What a process that is killed now would find at its next start. */
async function afterCrash(): Promise<{ texts: string[]; entries: JournalEntry[]; tornBytes: number }> {
  const copy = await mkdtemp(join(tmpdir(), 'baton-journal-crash-'));
  try {
    copyAtOnce(folder, copy);
    const { journal, entries, tornBytes } = await open(copy);
    const found = await texts(journal, entries);
    await journal.close();
    return { texts: found, entries, tornBytes };
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** As far as that goes: a segment that is removed in the middle of it makes it begin again. */
function copyAtOnce(from: string, to: string, triesLeft = 10): void {
  try {
    cpSync(from, to, { recursive: true });
  } catch (error) {
    if (triesLeft === 0) throw error;
    rmSync(to, { recursive: true, force: true });
    copyAtOnce(from, to, triesLeft - 1);
  }
}

describe('what was published', () => {
  it('is there after a crash as soon as the publish has resolved, in its order, marked as redelivered', async () => {
    const { journal } = await open();
    await Promise.all(['a', 'b', 'ü'].map((text) => publish(journal, text)));
    const { texts: found, entries } = await afterCrash();
    expect(found).toEqual(['a', 'b', 'ü']);
    expect(entries.every(({ redelivered }) => redelivered)).toBe(true);
    await journal.close();
  });

  it('is gone for good once it is settled and that is flushed', async () => {
    const { journal } = await open();
    const [a, b] = await Promise.all([publish(journal, 'a'), publish(journal, 'b')]);
    journal.settle(a);
    journal.settle(a); // A second time changes nothing.
    await journal.flushed();
    expect((await afterCrash()).texts).toEqual(['b']);
    expect(await texts(journal, [b])).toEqual(['b']);
    await journal.close();
  });

  it('keeps how often it came back, and when it expires', async () => {
    const { journal } = await open();
    const entry = await journal.publish(Buffer.from('x'), { expiresAt: 1_900_000_000_000 });
    entry.returns = 3;
    journal.returned(entry);
    await journal.flushed();
    expect((await afterCrash()).entries).toMatchObject([{ returns: 3, expiresAt: 1_900_000_000_000 }]);
    await journal.close();
  });

  it('never shares its id with a later message, also after a restart', async () => {
    const { journal } = await open();
    const old = await publish(journal, 'old');
    journal.settle(old);
    await journal.close();
    const again = await open();
    const young = await publish(again.journal, 'young');
    expect(young.id).toBeGreaterThan(old.id);
    await again.journal.close();
    expect((await afterCrash()).texts).toEqual(['young']);
  });
});

describe('settling with nobody waiting', () => {
  it('is written within milliseconds, and closing after a flush ends', async () => {
    const { journal } = await open();
    const [a, b] = [await publish(journal, 'a'), await publish(journal, 'b')];
    journal.settle(a);
    await expect.poll(async () => (await afterCrash()).texts).toEqual(['b']);
    journal.settle(b);
    await journal.flushed(); // The timer of that settling finds nothing left to write.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await journal.flushed();
    await journal.close();
  });
});

describe('the disk', () => {
  it('a torn end is cut off; what was confirmed stays', async () => {
    const { journal } = await open();
    await publish(journal, 'kept');
    await publish(journal, 'torn');
    await journal.close();
    const [name = ''] = await segments();
    const { size } = await stat(join(folder, name));
    await truncate(join(folder, name), size - 1);
    // The next write goes to a new segment: what was torn must not stay behind in one that is not the last.
    const again = await open(folder, 1);
    expect(again.tornBytes).toBeGreaterThan(0);
    expect(await texts(again.journal, again.entries)).toEqual(['kept']);
    await publish(again.journal, 'new');
    expect((await afterCrash()).texts).toEqual(['kept', 'new']);
    await again.journal.close();
  });

  it('rot in the middle refuses to start and names file and byte', async () => {
    const { journal } = await open();
    await publish(journal, 'rotten');
    await publish(journal, 'fine');
    await journal.close();
    const [name = ''] = await segments();
    const path = join(folder, name);
    const bytes = await readFile(path);
    bytes[bytes.indexOf('rotten')]! ^= 1;
    await writeFile(path, bytes);
    await expect(open()).rejects.toThrow(
      new RegExp(`${name} is broken: .*wrong checksum at byte 12 .*move the file away`, 's'),
    );
  });

  it('rot that appears while running is noticed when the message is read', async () => {
    const { journal } = await open();
    const entry = await publish(journal, 'rotten');
    const [name = ''] = await segments();
    await writeFile(join(folder, name), Buffer.alloc(200, 1));
    await expect(journal.read(entry)).rejects.toThrow(/is broken/);
    await journal.close();
  });

  it('segments whose messages are all settled are removed', async () => {
    const { journal } = await open();
    for (let index = 0; index < 50; index++) journal.settle(await publish(journal, 'x'.repeat(500)));
    await expect.poll(async () => (await segments()).length).toBe(1);
    expect((await afterCrash()).texts).toEqual([]);
    await journal.close();
  });

  it('one old message does not keep the disk full: it is written again, once, and survives that', async () => {
    const { journal } = await open();
    const old = await publish(journal, 'old');
    old.returns = 2;
    for (let index = 0; index < 100; index++) journal.settle(await publish(journal, 'x'.repeat(500)));
    // 100 messages of 500 bytes went through; at most the living twice and two segments stay.
    await expect
      .poll(async () => {
        const sizes = await Promise.all((await segments()).map((name) => stat(join(folder, name))));
        return sizes.reduce((bytes, { size }) => bytes + size, 0);
      })
      .toBeLessThan(4 * segmentBytes);
    expect((await segments())[0]).not.toBe('0000000001.journal');
    const { texts: found, entries } = await afterCrash();
    expect(found).toEqual(['old']);
    expect(entries[0]).toMatchObject({ id: old.id, returns: 2 });
    expect(await texts(journal, [old])).toEqual(['old']);
    journal.settle(old);
    await journal.flushed();
    expect((await afterCrash()).texts).toEqual([]);
    await journal.close();
  });

  it('a message that is settled while it is being written again does not come back', async () => {
    // Each batch a segment of its own, so that a copy would lie in another one than the note that the message is settled.
    const { journal } = await open(folder, 1);
    const old = await publish(journal, 'old');
    const large = 'kept'.padEnd(5_000);
    const read = journal.read.bind(journal);
    let settledMeanwhile = false;
    journal.read = async (entry) => {
      const message = await read(entry);
      if (entry !== old || settledMeanwhile) return message;
      settledMeanwhile = true;
      journal.settle(old);
      await journal.flushed();
      // Keeps the segment that a copy would go to, and is too large for that one to be cleaned in turn.
      void publish(journal, large);
      return message;
    };
    for (let index = 0; index < 6; index++) journal.settle(await publish(journal, 'x'.repeat(100)));
    await expect.poll(() => settledMeanwhile).toBe(true);
    await expect.poll(async () => (await segments()).length).toBeLessThan(4);
    expect((await afterCrash()).texts).toEqual([large]);
    await journal.close();
  });

  it('at no point of a busy life does a crash lose a message or bring a settled one back', async () => {
    const { journal } = await open();
    const live = new Map<number, { entry: JournalEntry; text: string }>();
    for (let round = 0; round < 40; round++) {
      const added = await Promise.all(
        Array.from({ length: 5 }, (_, index) => publish(journal, `${round}/${index} ${'x'.repeat(100)}`)),
      );
      for (const [index, entry] of added.entries())
        live.set(entry.id, { entry, text: `${round}/${index} ${'x'.repeat(100)}` });
      // Oldest and youngest by turns, so that long-lived ones stay behind in old segments.
      for (const id of [...live.keys()].filter((key) => key % 7 !== 0).slice(-4)) {
        journal.settle(live.get(id)!.entry);
        live.delete(id);
      }
      await journal.flushed();
      const expected = [...live.values()].map(({ text }) => text);
      expect((await afterCrash()).texts).toEqual(expected);
    }
    expect((await segments())[0]).not.toBe('0000000001.journal');
    await journal.close();
  });
});

it('a disk that cannot be written is told once, and nothing is confirmed after that', async () => {
  const { journal } = await open();
  await publish(journal, 'kept');
  await journal.close();
  const told: Error[] = [];
  const again = await Journal.open({
    folder,
    pressure: new WritePressure(1_000_000),
    onFatal: (error) => told.push(error),
    segmentBytes: 1, // So that the next write needs a new file,
  });
  await writeFile(join(folder, '0000000002.journal'), 'in the way'); // which cannot be made.
  let confirmed = false;
  void publish(again.journal, 'lost').then(() => (confirmed = true));
  await expect.poll(() => told.length).toBe(1);
  void publish(again.journal, 'lost as well').then(() => (confirmed = true));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(told.map(({ message }) => message)).toEqual([
    expect.stringMatching(/cannot be written; nothing is confirmed any more/),
  ]);
  expect(confirmed).toBe(false);
});
