// What `baton up` enters for the demo: the shop as a source, a partner, and a watcher who gets a mail for each price
// drop; then the first crawl, so that nobody waits a minute for the schedule. Doing it again changes nothing.
import { z } from 'zod';
import { demoSources } from './services/demo-shop/sources.ts';
import { createInvokeClient } from './event-sources/invoke-client.ts';
import { callLeader, type System } from './system.ts';

export const demoWatcher = 'watcher@example.test';
const watchesSchema = z.object({ watches: z.array(z.object({ email: z.string() })) });

export async function seedDemo(system: System): Promise<void> {
  const { demoShop, lambda } = system.stack.addresses;
  if (demoShop === undefined) return;
  for (const source of demoSources(demoShop))
    await callLeader(system, {
      method: 'PUT',
      path: `/sources/${source.name}`,
      role: 'editor',
      json: source,
    });
  const { watches } = watchesSchema.parse(
    await callLeader(system, { method: 'GET', path: '/watches', role: 'editor' }),
  );
  if (!watches.some(({ email }) => email === demoWatcher))
    await callLeader(system, {
      method: 'POST',
      path: '/watches',
      role: 'editor',
      json: { email: demoWatcher, source: null, sku: null },
    });
  const invoke = createInvokeClient(lambda);
  try {
    const outcome = await invoke.sendEvent('scraper', '{}');
    if (outcome.kind !== 'answered')
      throw new Error(`the first crawl could not be asked for: ${outcome.reason}`);
  } finally {
    await invoke.close();
  }
}
