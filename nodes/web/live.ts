// GET /live: server-sent events (WHATWG HTML, 9.2). Data events are read from the feed by id, so that Last-Event-ID
// resumes without a gap; node events come from a ring of the last 1,000 and carry no id.
// Never buffers for a slow reader: it is cut off and resumes from its last id.
import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { BatonEvent } from '../../contracts/event.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import { oneAtATime } from '../../runtime/one-at-a-time.ts';
import type { Store } from '../store.ts';
import { parse } from './parse-request.ts';

const ringLength = 1_000;
const pollEveryMs = 100; // A committed row is to be visible within 250 ms, on every node.
export const keepAliveEveryMs = 10_000;
const pageLength = 500;
/** A reader without a Last-Event-ID may ask for this many changes of before. */
const querySchema = z.object({ recent: z.coerce.number().int().min(0).max(pageLength).default(0) });
const readersMax = 200;
/** What may wait unsent for one reader before it is cut off. */
const backlogBytesMax = 1024 * 1024;

interface LiveReader {
  readonly response: ServerResponse;
  /** Id of the last data event written to it. */
  position: number;
}

export class Live {
  readonly #store: Pick<Store, 'feed' | 'feedBounds'>;
  readonly #report: (error: unknown) => void;
  readonly #ring: BatonEvent[] = [];
  readonly #readers = new Set<LiveReader>();
  readonly #timers: NodeJS.Timeout[];
  readonly #poll = oneAtATime(() => this.#readFeed());
  /** Why the last look failed; empty when it did not. */
  #reported = '';

  constructor(store: Pick<Store, 'feed' | 'feedBounds'>, report: (error: unknown) => void) {
    this.#store = store;
    this.#report = report;
    this.#timers = [
      setInterval(() => void this.#poll(), pollEveryMs),
      setInterval(() => {
        for (const { response } of this.#readers) response.write(': alive\n\n');
      }, keepAliveEveryMs),
    ];
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** A node event: shown to every reader, and kept for those who come later. */
  show(event: BatonEvent): void {
    if (event.type === 'item.changed') return; // Those come from the feed, with their id.
    // Said again and again for alarms, and no news: GET /sources and /cluster have it.
    if (event.type === 'source.judged' || event.type === 'leader.writes') return;
    // Batches come many a second and would push elections and faults out; they mean nothing to those who come later.
    if (event.type !== 'batch.applied') this.#ring.push(event);
    if (this.#ring.length > ringLength) this.#ring.shift();
    const text = textOf(event);
    for (const reader of this.#readers) this.#write(reader, text);
  }

  addTo(app: FastifyInstance): void {
    app.get(publicRoutes.live, async (request, reply) => {
      const { recent } = parse(querySchema, request.query);
      const bounds = await this.#store.feedBounds();
      // The `close` that would give its place back has come already.
      if (reply.raw.destroyed) return reply.hijack();
      if (this.#readers.size >= readersMax)
        throw new Failure('BUSY', `${readersMax} readers follow the events of this node`, {
          details: { retryAfterMs: 5_000 },
        });
      const asked = request.headers['last-event-id'];
      const resume = typeof asked === 'string' ? positionOf(asked, bounds) : { kind: 'new' as const };
      reply.hijack();
      const response = reply.raw;
      for (const [name, value] of Object.entries(reply.getHeaders()))
        if (value !== undefined) response.setHeader(name, value);
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
      });
      const position =
        resume.kind === 'resume' ? resume.position : Math.max(bounds.last - recent, bounds.first - 1, 0);
      const reader: LiveReader = { response, position };
      response.write('retry: 500\n\n');
      if (resume.kind === 'reset')
        response.write(`id: ${bounds.feed}-${position}\nevent: reset\ndata: {}\n\n`);
      this.#write(reader, this.#ring.map(textOf).join(''));
      this.#readers.add(reader);
      response
        .on('error', () => this.#readers.delete(reader))
        .on('close', () => this.#readers.delete(reader));
      return reply;
    });
    // Fastify waits for open requests, and these never end by themselves.
    app.addHook('preClose', async () => this.close());
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const { response } of this.#readers) response.end();
    this.#readers.clear();
  }

  async #readFeed(): Promise<void> {
    if (this.#readers.size === 0) return;
    try {
      const { last, feed } = await this.#store.feedBounds();
      const behind = [...this.#readers].filter(({ position }) => position < last);
      // One query serves all readers at one position, which is nearly always all of them.
      for (const after of new Set(behind.map(({ position }) => position))) {
        const events = await this.#store.feed({ after, limit: pageLength });
        // Written out once for all of them: a page may be two hundred kilobytes and the readers two hundred.
        const text = events.map((event) => `id: ${feed}-${event.id}\n${textOf(event)}`).join('');
        const reached = events.at(-1)?.id ?? after;
        for (const reader of behind.filter(({ position }) => position === after))
          if (this.#write(reader, text)) reader.position = reached;
      }
      this.#reported = '';
    } catch (error) {
      // Once per cause: a database that is away is away for ten looks a second.
      if (this.#reported !== describeError(error)) this.#report(error);
      this.#reported = describeError(error);
    }
  }

  #write(reader: LiveReader, text: string): boolean {
    const { response } = reader;
    if (response.writableEnded) return false;
    if (response.destroyed || response.writableLength > backlogBytesMax) {
      this.#readers.delete(reader);
      response.destroy();
      return false;
    }
    response.write(text);
    return true;
  }
}

function textOf(event: BatonEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Where a reader goes on: a foreign feed, an id past retention or one that is not given out yet starts anew. */
function positionOf(
  lastEventId: string,
  bounds: { feed: string; first: number; last: number },
): { kind: 'resume'; position: number } | { kind: 'reset' } {
  const match = /^(?<feed>.+)-(?<id>\d{1,15})$/.exec(lastEventId);
  const id = Number(match?.groups?.['id']);
  if (match?.groups?.['feed'] !== bounds.feed || id > bounds.last || id < bounds.first - 1)
    return { kind: 'reset' };
  return { kind: 'resume', position: id };
}
