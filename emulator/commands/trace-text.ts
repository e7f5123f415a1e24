// Traces as `baton trace` prints them: a line for each hop, with the time since the one before. Pure.
import type { Delivery, ItemTrace, MessageTrace, TracedVersion } from '../../contracts/trace.ts';
import { plural, printable, table, timeText } from './table.ts';

interface Hop {
  readonly at: string;
  readonly name: string;
  readonly text: string;
}

export function itemTraceText({ source, sku, title, versions }: ItemTrace): string {
  const head = `${printable(`${source}/${sku}`)}  ${printable(title)}\n`;
  return [head, ...versions.map(versionText)].join('\n');
}

export function messageTraceText({ messageId, deliveries, rows, deadLetters }: MessageTrace): string {
  const sections = [
    hopsText(deliveries.flatMap(deliveryHops)),
    rows.length === 0
      ? ''
      : `${plural(rows.length, 'row')}\n${table(
          ['ITEM', 'VERSION', 'WRITTEN (UTC)'],
          rows.map((row) => [`${row.source}/${row.sku}`, row.version, timeText(row.writtenAt)]),
        )}`,
    deadLetters.length === 0
      ? ''
      : `${plural(deadLetters.length, 'dead letter')}\n${table(
          ['LETTER', 'STATE', 'CODE', 'REASON'],
          deadLetters.map(({ id, state, code, reason }) => [id, state, code, reason]),
        )}`,
  ];
  return [`Message ${printable(messageId)}\n`, ...sections.filter((text) => text !== '')].join('\n');
}

function versionText(version: TracedVersion): string {
  const { change, price, previousPrice, currency, term, traceparent, writtenAt, deliveries, files, mails } =
    version;
  const money = (value: number | null): string =>
    value === null ? 'no price' : `${value} ${currency ?? ''}`.trim();
  const told =
    change === 'price'
      ? `price ${money(previousPrice)} -> ${money(price)}`
      : `${change ?? 'nothing new'}, ${money(price)}`;
  const hops: Hop[] = [
    ...deliveries.flatMap(deliveryHops),
    { at: writtenAt, name: 'row', text: `${told}, term ${term}` },
    ...files.map(({ name, state, movedTo, changedAt }) => ({
      at: changedAt,
      name: 'file',
      text: `${name} ${state}${movedTo === null ? '' : `, moved to ${movedTo}`}`,
    })),
    ...mails.flatMap(({ mailId, kind, state, attempt, madeAt, changedAt }) => [
      { at: madeAt, name: 'mail', text: `${kind} ${mailId} queued` },
      ...(state === 'queued'
        ? []
        : [{ at: changedAt, name: 'mail', text: `${mailId} ${state}, attempt ${attempt}` }]),
    ]),
  ];
  return `version ${version.version}  trace ${traceparent.slice(3, 35)}\n${hopsText(hops)}`;
}

function deliveryHops({
  messageId,
  url,
  fetchedAt,
  publishedAt,
  attempt,
  receivedAt,
  postedAt,
  node,
  term,
}: Delivery): Hop[] {
  return [
    { at: fetchedAt, name: 'scraped', text: url },
    ...(publishedAt === null ? [] : [{ at: publishedAt, name: 'published', text: 'by the scraper' }]),
    { at: receivedAt, name: 'consumed', text: `message ${messageId}, attempt ${attempt}` },
    { at: postedAt, name: 'posted', text: `to ${node}, term ${term}` },
  ];
}

function hopsText(hops: readonly Hop[]): string {
  // Of one time the order of the story holds.
  const inOrder = hops.toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at));
  return inOrder
    .map(({ at, name, text }, index) => {
      const before = inOrder[index - 1];
      const since = before ? `+${sinceText(Date.parse(at) - Date.parse(before.at))}` : '';
      return `  ${at.replace('T', ' ').replace('Z', '')}  ${since.padStart(9)}  ${name.padEnd(9)}  ${printable(text)}\n`;
    })
    .join('');
}

function sinceText(ms: number): string {
  if (ms < 10_000) return `${ms} ms`;
  if (ms < 600_000) return `${Math.round(ms / 1_000)} s`;
  return ms < 36_000_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
