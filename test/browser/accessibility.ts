// axe-core's verdict on a page, and whether it scrolls sideways.
import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';

/** One line for each violation: rule and first element. */
export async function violations(page: Page): Promise<string[]> {
  // Through the debugger, since the page's own policy (rightly) refuses scripts from elsewhere.
  await page.evaluate(axe.source);
  const { violations: found, passes } = await page.evaluate<AxeResults>('axe.run()');
  if (passes.length === 0) throw new Error('axe found nothing to check on this page');
  return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
}

/** How far the page, or a list that scrolls within it, could be scrolled sideways. */
export function sidewaysPx(page: Page): Promise<number> {
  return page.evaluate<number>(`Math.max(
    document.documentElement.scrollWidth - innerWidth,
    ...Array.from(document.querySelectorAll('.scroll, pre'), (list) => list.scrollWidth - list.clientWidth),
  )`);
}
