// What the launcher sees, shown on every node's page: services that end and come, faults on purpose. Best effort: it is news,
// and how services stand is asked for (GET /services).
import { readFile } from 'node:fs/promises';
import type { Member } from '../../contracts/environment.ts';
import { eventVersion, type BatonEvent, type EventDraft } from '../../contracts/event.ts';
import { routes } from '../../contracts/node-api.ts';
import { createInternalClient } from '../../runtime/internal-http.ts';
import { pause } from '../../runtime/waiting.ts';
import type { Leaf } from '../instance/authority.ts';

export interface PageReports {
  show(event: EventDraft): void;
  close(): Promise<void>;
}

const answerWithinMs = 500;
/** What it tells of is often the end of a node, which is told once it is back. A page knows what it is told twice. */
const triesMax = 20;
const againAfterMs = 500;
/** What it tells of is often the end of a leader, and then the nodes have to do before they show it. */
const showAfterMs = 250;

export async function openPageReports({
  authority,
  members,
}: {
  readonly authority: {
    readonly ca: string;
    leaf(name: string): Pick<Leaf, 'certFile' | 'keyFile'>;
  };
  readonly members: readonly Pick<Member, 'internalUrl'>[];
}): Promise<PageReports> {
  const { certFile, keyFile } = authority.leaf('emulator');
  const nodes = createInternalClient({
    ca: authority.ca,
    cert: await readFile(certFile, 'utf8'),
    key: await readFile(keyFile, 'utf8'),
  });
  const closing = new AbortController();

  async function tell(internalUrl: string, event: BatonEvent): Promise<void> {
    await pause(showAfterMs, closing.signal);
    for (let tries = 1; tries <= triesMax && !closing.signal.aborted; tries++)
      try {
        const json = { events: [event] };
        await nodes.call(internalUrl, {
          method: 'POST',
          path: routes.events,
          json,
          timeoutMs: answerWithinMs,
        });
        return;
      } catch {
        await pause(againAfterMs, closing.signal);
      }
  }

  return {
    show(draft) {
      const at = new Date().toISOString();
      const event = { version: eventVersion, at, process: 'emulator', ...draft } as BatonEvent;
      for (const { internalUrl } of members) void tell(internalUrl, event);
    },
    async close() {
      closing.abort();
      await nodes.close();
    },
  };
}
