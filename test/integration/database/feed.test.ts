import { expect, test } from 'vitest';
import { entries, item, lead, useDatabases } from './fresh-database.ts';

const databases = useDatabases();

test('feed: with four writers at once the ids are dense, and a reader never sees a gap', async () => {
  const { store, node } = await databases.fresh();
  await lead(store);
  const reader = node('node-2').store;
  const batches = 25;
  const size = 8;
  let writing = true;
  const seen: number[] = [];
  const read = async (): Promise<void> => {
    for (let more = true; more;) {
      more = writing;
      const page = await reader.feed({ after: seen.at(-1) ?? 0, limit: 50 });
      for (const { id } of page) {
        // A gap that is filled later would be skipped for good by a reader that resumes by id.
        expect(id).toBe((seen.at(-1) ?? 0) + 1);
        seen.push(id);
      }
      if (page.length > 0) more = true;
    }
  };
  const reading = read();
  await Promise.all(
    [0, 1, 2, 3].map(async (writer) => {
      for (let batch = 0; batch < batches; batch++)
        await store.writeBatch(
          1,
          // Half of the keys are shared with the other writers, so that they wait for each other's rows too.
          entries(
            ...Array.from({ length: size }, (_, index) =>
              index % 2 === 0
                ? item(`own-${writer}-${batch}-${index}`, 1)
                : item(`shared-${index}`, batch * 4 + writer + 1, { price: batch * 4 + writer }),
            ),
          ),
        );
    }),
  );
  writing = false;
  await reading;
  const { first, last } = await store.feedBounds();
  expect({ first, last }).toEqual({ first: 1, last: seen.length });
  expect(seen.length).toBeGreaterThan(4 * batches * (size / 2));
});

test('feed: what changed nothing takes no id, and bounds begin at 0', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  expect(await store.feedBounds()).toMatchObject({ first: 0, last: 0 });
  await store.writeBatch(1, entries(item('a', 2)));
  await store.writeBatch(1, entries(item('a', 2)));
  await store.writeBatch(1, entries(item('a', 1)));
  expect(await store.feedBounds()).toMatchObject({ first: 1, last: 1 });
});
