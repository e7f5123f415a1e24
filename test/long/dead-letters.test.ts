// Ten thousand dead letters of three hundred megabytes: moved, sent again and killed in between, within bounded memory.
import { expect, test } from 'vitest';
import { useDatabases } from '../integration/database/fresh-database.ts';
import { moveThroughKills } from '../integration/dead-letters/through-kills.ts';

const databases = useDatabases();
const count = 10_000;
const bytesEach = 30_000;
/** Steps of 2 MB, their copies, and what V8 has not collected yet: it rises to this and stays there. */
const grownByMax = 250_000_000;

test('what the leader holds does not grow with the queue', async () => {
  const outcome = await moveThroughKills({ databases, kind: 'development', count, bytesEach });
  expect(outcome).toMatchObject({ kept: count, different: count, counts: { itemVersions: count } });
  expect(outcome.grownBy).toBeGreaterThan(0);
  expect(outcome.grownBy).toBeLessThan(grownByMax);
});
