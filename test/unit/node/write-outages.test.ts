// Which failures of a statement mean that the database takes no writes, from when on, and until when.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WriteOutages } from '../../../nodes/database/write-outages.ts';
import { Failure } from '../../../runtime/failure.ts';

let outages: WriteOutages;
beforeEach(() => {
  vi.useFakeTimers();
  outages = new WriteOutages();
});
afterEach(() => void vi.useRealTimers());

const refused = (code: string) =>
  new Failure('DATABASE_UNAVAILABLE', 'writing', { cause: Object.assign(new Error('said'), { code }) });
const fail = (why: unknown, statement = 'INSERT') =>
  outages.watch('writing', statement, () => Promise.reject(why)).catch(() => undefined);
const succeed = (statement = 'INSERT') => outages.watch('writing', statement, async () => undefined);

test('what the server says it will not write counts at once, until the same statement succeeds', async () => {
  for (const state of ['53100', '53200', '25006', '55P03', '28P01', '42501', '58030']) {
    await fail(refused(state));
    expect([state, outages.longest()?.cause]).toEqual([state, expect.stringMatching(/database/)]);
    await succeed('DELETE');
    expect(outages.longest()).toBeDefined();
    await succeed();
    expect(outages.longest()).toBeUndefined();
  }
});

test('a refused row, an old term and a lost connection are none', async () => {
  for (const state of ['23505', '22021', 'BT001', '57P01', 'ECONNREFUSED']) await fail(refused(state));
  expect(outages.longest()).toBeUndefined();
});

test('one that hangs counts within ten seconds, and when it was given up; what comes later does not hide since when', async () => {
  const startedAt = Date.now();
  let giveUp = (_error: unknown): void => undefined;
  const hanging = outages
    .watch('writing', 'INSERT', () => new Promise((_, reject) => (giveUp = reject)))
    .catch(() => undefined);
  await vi.advanceTimersByTimeAsync(8_500);
  expect(outages.longest()).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(outages.longest()).toMatchObject({ what: 'writing', since: new Date(startedAt), error: undefined });
  await vi.advanceTimersByTimeAsync(1_500);
  giveUp(new Failure('DATABASE_TIMEOUT', 'writing', { cause: new Error('Query read timeout') }));
  await hanging;
  await fail(refused('53100'), 'UPDATE');
  expect(outages.longest()).toMatchObject({
    since: new Date(startedAt),
    error: { code: 'DATABASE_TIMEOUT' },
  });
});

test('what nobody has tried for a minute is forgotten', async () => {
  await fail(refused('53100'));
  await vi.advanceTimersByTimeAsync(59_000);
  expect(outages.longest()).toBeDefined();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(outages.longest()).toBeUndefined();
});
