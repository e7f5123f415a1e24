// What the launcher sees, shown on every node's page: services that end and come, faults on purpose. Best effort, since a
// page is no place to fail over.
import { readFile } from 'node:fs/promises';
import { eventVersion, type BatonEvent, type EventDraft } from '../../contracts/event.ts';
import { routes } from '../../contracts/node-api.ts';
import { createInternalClient } from '../../runtime/internal-http.ts';
import type { Stack } from '../stack/stack.ts';

export interface PageReports {
  show(event: EventDraft): void;
  close(): Promise<void>;
}

const answerWithinMs = 500;
/** What it tells of is often the end of a leader, and then the nodes have to do before they show it. */
const showAfterMs = 250;

export async function openPageReports({
  authority,
  members,
}: Pick<Stack, 'authority' | 'members'>): Promise<PageReports> {
  const { certFile, keyFile } = authority.leaf('emulator');
  const nodes = createInternalClient({
    ca: authority.ca,
    cert: await readFile(certFile, 'utf8'),
    key: await readFile(keyFile, 'utf8'),
  });
  function post(event: BatonEvent): void {
    for (const { internalUrl } of members)
      nodes
        .call(internalUrl, {
          method: 'POST',
          path: routes.events,
          json: { events: [event] },
          timeoutMs: answerWithinMs,
        })
        .catch(() => undefined); // That node is down or starting.
  }
  return {
    show(draft) {
      const at = new Date().toISOString();
      const event = { version: eventVersion, at, process: 'emulator', ...draft } as BatonEvent;
      setTimeout(() => post(event), showAfterMs).unref();
    },
    close: () => nodes.close(),
  };
}
