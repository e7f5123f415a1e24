// What /health says in words: each part's problem while it lasts, and nothing of hosts, addresses or people.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Problems } from '../../../nodes/health/problems.ts';
import { watchWork } from '../../../nodes/health/work-watch.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a broker that does not answer, a deep queue and deferred mails are said while they last', async () => {
  const problems = new Problems();
  let depth: number | Error = new Error('connect ECONNREFUSED 10.0.1.5:5671');
  let deferred: number | Error = 2;
  const answer = async (value: number | Error): Promise<number> => {
    if (value instanceof Error) throw value;
    return value;
  };
  const watch = watchWork({
    broker: { depth: () => answer(depth) },
    store: { deferredMails: () => answer(deferred) },
    problems,
    metrics: { mailsDeferred: () => undefined },
  });
  await vi.advanceTimersByTimeAsync(0);
  expect(problems.list().toSorted()).toEqual([
    expect.stringMatching(/^RabbitMQ does not answer/),
    expect.stringMatching(/^the mail server did not take 2 mails/),
  ]);
  expect(problems.list().join()).not.toContain('10.0.1.5');
  [depth, deferred] = [5_001, new Error('the database is gone')];
  await vi.advanceTimersByTimeAsync(5_000);
  expect(problems.list()).toEqual([
    // Not known to be over.
    expect.stringMatching(/^the mail server did not take 2 mails/),
    expect.stringMatching(/^5001 messages wait in items: scrapers pause above 5000/),
  ]);
  [depth, deferred] = [5_000, 0];
  await vi.advanceTimersByTimeAsync(5_000);
  expect(problems.list()).toEqual([]);
  watch.close();
});

test('a look that hangs is the only one under way', async () => {
  let looks = 0;
  const watch = watchWork({
    broker: {
      depth: () => {
        looks++;
        return new Promise(() => undefined);
      },
    },
    store: { deferredMails: async () => 0 },
    problems: new Problems(),
    metrics: { mailsDeferred: () => undefined },
  });
  await vi.advanceTimersByTimeAsync(600_000);
  expect(looks).toBe(1);
  watch.close();
});
