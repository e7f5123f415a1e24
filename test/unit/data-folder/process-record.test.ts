// Which processes a folder knows: told apart by start times that do not depend on who asks, and written so that the newest
// state is on disk as soon as the disk allows.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  keepRecord,
  layoutOf,
  type InstanceRecord,
  type Layout,
} from '../../../emulator/instance/instance.ts';
import { identify, isAlive } from '../../../emulator/instance/process-table.ts';

describe('where `ps` tells the start times, as on macOS', () => {
  const { platform } = process;
  beforeEach(() => void Object.defineProperty(process, 'platform', { value: 'darwin' }));
  afterEach(() => {
    Object.defineProperty(process, 'platform', { value: platform });
    vi.unstubAllEnvs();
  });

  test('a process is the same for a terminal of another time zone and language', () => {
    vi.stubEnv('TZ', 'Europe/Berlin');
    vi.stubEnv('LC_ALL', 'de_DE.UTF-8');
    const recorded = identify(process.pid);
    vi.stubEnv('TZ', 'Asia/Tokyo');
    vi.stubEnv('LC_ALL', undefined);
    expect(recorded?.startedAt).toMatch(/^\w{3} \w{3} +\d+ [\d:]{8} \d{4}$/);
    expect(isAlive(recorded ?? { pid: 0, startedAt: '' })).toBe(true);
  });
});

describe('the record of what runs', () => {
  let folder: string;
  let layout: Layout;
  beforeEach(async () => {
    vi.useFakeTimers();
    folder = await mkdtemp(join(tmpdir(), 'baton-record-'));
    layout = layoutOf(folder);
  });
  afterEach(async () => {
    vi.useRealTimers();
    await rm(folder, { recursive: true, force: true });
  });
  const record = (pid: number): InstanceRecord => ({
    version: 1,
    launcher: { pid: 1, startedAt: 'a' },
    control: { url: 'http://127.0.0.1:1', token: 't' },
    groups: [{ name: 'node-1', pid, startedAt: 'b' }],
  });

  test('skips what is old by the time a slow disk has written, and ends with the newest', async () => {
    const written: (number | undefined)[] = [];
    const kept = keepRecord(layout, async (_layout, { groups }) => {
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      written.push(groups[0]?.pid);
    });
    for (let pid = 1; pid <= 20; pid++) kept.is(record(pid));
    const closed = kept.close();
    await vi.advanceTimersByTimeAsync(10_000);
    await closed;
    expect(written).toEqual([1, 20]);
  });

  test('is tried again where the disk was full, and an end does not wait for that', async () => {
    let room = false;
    const written: (number | undefined)[] = [];
    const kept = keepRecord(layout, async (_layout, { groups }) => {
      if (!room) throw new Error('ENOSPC');
      written.push(groups[0]?.pid);
    });
    kept.is(record(1));
    await vi.advanceTimersByTimeAsync(3_000);
    room = true;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(written).toEqual([1]);
    room = false;
    kept.is(record(2));
    await kept.close();
    expect(written).toEqual([1]);
  });
});
