// The live stream: how late a committed row is at the last of as many readers as a node takes, and what becomes of a reader
// that does not read.
import { Agent, get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { BenchSystem } from './bench-system.ts';
import { measured, quantile, type Result } from './bench.ts';
import type { Writer } from './item-writer.ts';

const subscribers = 199; // A node takes 200; one place is left for whoever looks at its page.
const eventsPerSecond = 1_000;
const itemsPerWrite = 50;
const seconds = 8;
const lateGoalMs = 250;
/** Turns of the writer that a reader sleeps through: about 35 MB, where the system's buffers hold less than ten. */
const slowTurns = 8;
const slowPauseMs = 18_000;
const slowBytesMax = 16e6;

/** Of an event that a subscriber received: between the row's time in the database and its arrival. */
export async function measureSubscribers(system: BenchSystem, writer: Writer): Promise<Result[]> {
  const leader = await system.leader();
  const agent = new Agent({ maxSockets: Infinity });
  const late: number[] = [];
  const readers = await Promise.all(Array.from({ length: subscribers }, () => subscribe(leader.url, agent)));
  for (const reader of readers)
    reader.on('data', (chunk: Buffer) => {
      const changedAt = oldestIn(chunk);
      if (changedAt !== undefined) late.push(Date.now() - changedAt);
    });
  await writeSteadily(writer, leader.internalUrl);
  for (const reader of readers) reader.destroy();
  agent.destroy();
  const p95 = quantile(late, 0.95);
  return [
    {
      ...measured(
        `live: ${subscribers} subscribers at ${eventsPerSecond} changes a second, oldest of what came, p95`,
        'ms',
        p95,
      ),
      goal: `<= ${lateGoalMs} ms`,
      met: p95 <= lateGoalMs,
    },
  ];
}

/**
 * A reader that takes nothing while more is written than all buffers on the way hold has to be cut off, and to go on
 * behind the last change it got.
 */
export async function measureSlowReader(system: BenchSystem, writer: Writer): Promise<Result[]> {
  const { url } = await system.leader();
  const reader = await subscribe(url);
  for (let turn = 0; turn < slowTurns; turn++) await writer.write();
  // A node sends 500 changes each tenth of a second: by then it has tried to send all of them.
  await new Promise((resolve) => setTimeout(resolve, slowPauseMs));
  const got = await textOf(reader, (text) => text.length > slowBytesMax);
  reader.destroy();
  const last =
    got
      .slice(0, got.lastIndexOf('\n\n'))
      .match(/^id: .+$/gm)
      ?.at(-1)
      ?.slice('id: '.length) ?? '';
  const again = await subscribe(url, undefined, { 'last-event-id': last });
  const next = /^id: .+-(?<id>\d+)$/m.exec(await textOf(again, (text) => /^id: .+$/m.test(text)))?.groups?.[
    'id'
  ];
  again.destroy();
  const missed = Number(next) - Number(last.split('-').at(-1)) - 1;
  return [
    {
      ...measured(
        'live: a reader that does not read: sent to it before it was cut off',
        'MB',
        got.length / 1e6,
      ),
      goal: `<= ${slowBytesMax / 1e6} MB`,
      met: got.length > 0 && got.length <= slowBytesMax,
    },
    { ...measured('live: changes it misses when it comes again', '', missed), goal: '0', met: missed === 0 },
  ];
}

/** What comes until it is enough, or until the other side ends it. */
async function textOf(reader: IncomingMessage, enough: (text: string) => boolean): Promise<string> {
  let text = '';
  reader.setEncoding('utf8');
  try {
    for await (const chunk of reader as AsyncIterable<string>) {
      text += chunk;
      if (enough(text)) break;
    }
  } catch {
    // Cut off in the middle, which is what the node does with a reader that does not read.
  }
  return text;
}

async function subscribe(
  url: string,
  agent?: Agent,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  const sent = get(`${url}/live`, agent ? { agent, headers } : { headers });
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`${url}/live answered ${answer.statusCode}`);
  answer.on('error', () => undefined); // It is destroyed in the end, by us or by the node.
  return answer;
}

async function writeSteadily(writer: Writer, internalUrl: string): Promise<void> {
  const began = performance.now();
  for (let sent = 0; sent < eventsPerSecond * seconds; sent += itemsPerWrite) {
    const waitMs = began + (sent * 1_000) / eventsPerSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    await writer.post(internalUrl, itemsPerWrite);
  }
}

/** The time of the first change in a piece of the stream: what is parsed of it is all that 200 readers here can afford. */
function oldestIn(chunk: Buffer): number | undefined {
  const start = chunk.indexOf('event: item.changed');
  if (start === -1) return undefined;
  const text = chunk.toString('latin1', start, start + 1_000);
  const at = /"at":"([^"]+)"/.exec(text)?.[1];
  return at === undefined ? undefined : Date.parse(at);
}
