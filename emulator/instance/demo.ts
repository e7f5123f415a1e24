// The demo: the shop as a source, a partner, a watcher who gets mail when prices drop, and an operator who gets it when a
// file is rejected or another node leads; then the first crawl, so that nobody waits a minute for the schedule. Doing it
// again changes nothing.
import { publicRoutes } from '../../contracts/public-routes.ts';
import { demoSources } from '../services/demo-shop/sources.ts';
import { createInvokeClient } from '../event-sources/invoke-client.ts';
import { callLeader } from '../cluster/call-leader.ts';
import type { System } from '../system.ts';

const operator = 'operator@example.test';
const watches = [
  { email: 'watcher@example.test', about: 'prices' },
  { email: operator, about: 'files' },
  { email: operator, about: 'leader' },
];

export interface DemoPlace {
  readonly shopUrl: string;
  /** Where functions are invoked. */
  readonly invokeUrl: string;
  /** A request to the leader, as editor. */
  readonly call: (call: { method: 'PUT' | 'POST'; path: string; json?: unknown }) => Promise<unknown>;
}

/** What `baton up` does when all is up. */
export async function seedDemo(system: System): Promise<void> {
  const { demoShop, lambda } = system.stack.addresses;
  if (demoShop === undefined) return;
  await enterDemo({
    shopUrl: demoShop,
    invokeUrl: lambda,
    call: (call) => callLeader(system, { role: 'editor', ...call }),
  });
}

export async function enterDemo({ shopUrl, invokeUrl, call }: DemoPlace): Promise<void> {
  for (const source of demoSources(shopUrl))
    await call({ method: 'PUT', path: publicRoutes.source(source.name), json: source });
  for (const watch of watches) await call({ method: 'POST', path: publicRoutes.watches, json: watch });
  const invoke = createInvokeClient(invokeUrl);
  try {
    const outcome = await invoke.sendEvent('scraper', '{}');
    if (outcome.kind !== 'answered')
      throw new Error(`the first crawl could not be asked for: ${outcome.reason}`);
  } finally {
    await invoke.close();
  }
}
