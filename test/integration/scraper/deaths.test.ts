// A worker that ends without a word: what it deposited is deposited again as it was, and the page that ended it is given up.
import { expect, it } from 'vitest';
import { linkPage, productPage, simulateShop } from './simulated-shop.ts';

/** What ends a process ends no promise: nothing of the run comes any more. */
class Death extends Error {}

it('deaths: a page that ends its worker is given up after three, and the others are read', async () => {
  const { world, run } = simulateShop((path) => {
    if (path === '/p/2') throw new Death();
    if (path === '/robots.txt') return undefined;
    return path === '/' ? linkPage(['/p/1', '/p/2', '/p/3']) : productPage(path);
  });
  let deaths = 0;
  for (;;) {
    try {
      expect(await run()).toMatchObject({ kind: 'finished', intake: 1, counts: { failedPages: 1 } });
      break;
    } catch (error) {
      if (!(error instanceof Death)) throw error;
      deaths++;
      expect(world.status).toBe('running');
      expect(deaths).toBeLessThan(10);
    }
  }
  // At the first one nobody knew yet where it was.
  expect(deaths).toBe(4);
  expect(world.requests.filter(({ path }) => path === '/p/2')).toHaveLength(4);
  expect(world.file.map(({ sku }) => sku)).toEqual(['/p/1', '/p/3']);
  // The next crawl asks for it again.
  await expect(run()).rejects.toThrow(Death);
});
