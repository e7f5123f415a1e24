// Every safeguard of the path from publish to row and mail, taken out in turn, is missed by a chaos run or a test; and
// nothing is missed where nothing was taken out.
import { expect, test } from 'vitest';
import { control, finderOf, foundWithinMs } from '../chaos/mutations/finder.ts';
import { pathMutations } from '../chaos/mutations/mutations.ts';

test('nothing taken out, nothing is found', { timeout: foundWithinMs }, async () => {
  expect(await control()).toBeNull();
});

// Each by itself: a chaos run takes over a minute, and up to three seeds are tried.
test.each(pathMutations)(
  'taken out, something misses it: $safeguard',
  { timeout: foundWithinMs },
  async (mutation) => {
    expect(await finderOf(mutation)).not.toBeNull();
  },
);
