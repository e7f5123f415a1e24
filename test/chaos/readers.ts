// Those who look on during a run: one by SQL, one by server-sent events that goes from node to node with the last id
// it saw, and one at the SMTP server. What they see goes into the history; what keeps them from looking does not matter.
import { request } from 'undici';
import type { Client } from 'pg';
import { pause } from '../../runtime/waiting.ts';
import { connectDatabase, type DatabaseAddress } from './audit.ts';
import type { HistoryWriter } from './history.ts';
import { hotSkus } from './workload.ts';

export interface Reader {
  close(): Promise<void>;
}

/** Runs `look` again and again until it is closed; one that fails is tried again. */
function repeatedly(look: (signal: AbortSignal) => Promise<void>, everyMs: number): Reader {
  const closing = new AbortController();
  const running = (async () => {
    while (!closing.signal.aborted) {
      await look(closing.signal).catch(() => undefined); // What it reads from is down or cut off: that is what a run is for.
      await pause(everyMs, closing.signal);
    }
  })();
  return {
    async close() {
      closing.abort();
      await running;
    },
  };
}

/** Looks at the items that change most. */
export function startSqlReader(history: HistoryWriter, address: () => Promise<DatabaseAddress>): Reader {
  const name = 'sql';
  const seen = new Map<string, number>();
  let database: Client | undefined;
  const reader = repeatedly(async () => {
    try {
      database ??= await connectDatabase(await address());
      const { rows } = await database.query<{ source: string; sku: string; version: string }>(
        'SELECT source, sku, version FROM items WHERE sku = ANY ($1)',
        [hotSkus],
      );
      for (const { source, sku, version: text } of rows) {
        const version = Number(text);
        if (seen.get(`${source}\n${sku}`) === version) continue;
        seen.set(`${source}\n${sku}`, version);
        history.write({ kind: 'looked', reader: name, source, sku, version });
      }
    } catch (error) {
      await database?.end().catch(() => undefined);
      database = undefined;
      throw error;
    }
  }, 50);
  return {
    async close() {
      await reader.close();
      await database?.end();
    },
  };
}

const silentMs = 15_000; // A node says that it is alive every ten seconds.

/** `urls`: where the nodes are now; `host`: what they are called there. */
export function startStreamReader(
  history: HistoryWriter,
  nodes: () => readonly { readonly url: string; readonly host: string }[],
): Reader & { readonly opened: Promise<void>; position(): number } {
  const name = 'stream';
  let lastId: string | undefined;
  let turn = 0;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const reader = repeatedly(async (closing) => {
    const all = nodes();
    const { url, host } = all[turn++ % all.length] as { url: string; host: string };
    const { statusCode, body } = await request(`${url}/live`, {
      headers: { host, ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
      headersTimeout: 3_000,
      bodyTimeout: silentMs,
      signal: closing,
    });
    if (statusCode !== 200) return body.dump();
    let text = '';
    for await (const chunk of body.setEncoding('utf8') as AsyncIterable<string>) {
      open();
      text += chunk;
      const messages = text.split('\n\n');
      text = messages.pop() ?? '';
      for (const message of messages) {
        const { id, event, data } = fieldsOf(message);
        if (event === 'reset') history.write({ kind: 'reset', reader: name });
        if (id === undefined) continue;
        if (event === 'item.changed') {
          const {
            source,
            sku,
            itemVersion: version,
          } = JSON.parse(data ?? '') as {
            source: string;
            sku: string;
            itemVersion: number;
          };
          history.write({ kind: 'streamed', reader: name, id: numberOf(id), source, sku, version });
        }
        lastId = id;
      }
    }
  }, 100);
  return { ...reader, opened, position: () => (lastId === undefined ? 0 : numberOf(lastId)) };
}

/** The inbox keeps the newest thousand only, so they are counted as they come. */
export function startMailReader(history: HistoryWriter, inbox: () => string): Reader {
  let lastId = 0;
  return repeatedly(async () => {
    const { body } = await request(`${inbox()}/api/mails`, { headersTimeout: 3_000, bodyTimeout: 3_000 });
    const { mails } = (await body.json()) as { mails: { id: number; messageId: string | null }[] };
    for (const { id, messageId } of mails.toReversed())
      if (id > lastId) {
        lastId = id;
        history.write({ kind: 'mail', messageId: messageId ?? '' });
      }
  }, 500);
}

function fieldsOf(message: string): { id?: string; event?: string; data?: string } {
  return Object.fromEntries(
    message.split('\n').flatMap((line) => {
      const match = /^(id|event|data): ?(.*)$/.exec(line);
      return match ? [[match[1] as string, match[2]]] : [];
    }),
  );
}

/** `<feed>-<id>` */
function numberOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('-') + 1));
}
