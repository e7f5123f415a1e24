// Dead letters as `baton dlq` prints them. Pure.
import { failures } from '../../contracts/failures.ts';
import type {
  DeadLetter,
  DeadLetterAction,
  DeadLetterDetail,
  DeadLetterGroup,
} from '../../contracts/dead-letter.ts';
import { facts, plural, printable, table, timeText } from './table.ts';

const nothing = '-'; // Where there is no value.

export function groupsText(groups: readonly DeadLetterGroup[]): string {
  if (groups.length === 0) return 'No dead letter waits for a decision.\n';
  const total = groups.reduce((sum, { letters }) => sum + letters, 0);
  const rows = groups.map(({ group, letters, queue, source, code, newest, reason }) => [
    group,
    letters,
    queue,
    source ?? nothing,
    code,
    timeText(newest),
    reason,
  ]);
  return `${plural(total, 'dead letter')} in ${plural(groups.length, 'group')}. \`baton dlq list --group <id>\` shows the letters.

${table(['GROUP', 'LETTERS', 'QUEUE', 'SOURCE', 'CODE', 'LAST (UTC)', 'REASON'], rows)}`;
}

export function lettersText({
  letters,
  next,
}: {
  letters: readonly DeadLetter[];
  next: number | null;
}): string {
  if (letters.length === 0) return 'There is no such dead letter.\n';
  const rows = letters.map(({ id, state, retries, queue, source, code, diedAt, reason }) => [
    id,
    state,
    retries,
    queue,
    source ?? nothing,
    code,
    timeText(diedAt),
    reason,
  ]);
  const head = ['LETTER', 'STATE', 'RETRIES', 'QUEUE', 'SOURCE', 'CODE', 'DIED (UTC)', 'REASON'];
  return `${table(head, rows)}${next === null ? '' : `\nThere are more: --after ${next}\n`}`;
}

export function letterText(letter: DeadLetterDetail): string {
  const { id, state, queue, routingKey, source, code, reason, messageId, type, traceparent, retries, times } =
    letter;
  const { diedAt, cameFrom, edited, problems, headers, actions } = letter;
  const meaning = code in failures ? ` (${failures[code as keyof typeof failures].means})` : '';
  const about = facts([
    ['state', `${state}${edited ? ', edited' : ''}`],
    ['died', `${timeText(diedAt)} UTC${times > 1 ? `, taken ${times} times` : ''}`],
    ['code', `${code}${meaning}`],
    ['reason', reason],
    ['source', source ?? nothing],
    ['queue', `${queue}, sent again as ${routingKey}`],
    ['message', `${messageId || nothing}, ${type || nothing}`],
    ['trace', traceparent ?? nothing],
    ['sent again', retries === 0 ? 'never' : plural(retries, 'time')],
    ...(cameFrom === null ? [] : [['came from', `dead letter ${cameFrom}`] as const]),
  ]);
  const section = (title: string, text: string): string => (text === '' ? '' : `\n${title}\n${text}`);
  return [
    `Dead letter ${id}\n${about}`,
    section(
      'What its contract finds wrong',
      problems
        .map(({ path, message }) => `  ${printable(path) || '(whole)'}: ${printable(message)}\n`)
        .join(''),
    ),
    section(
      'Headers',
      Object.entries(headers)
        .map(([name, value]) => `  ${printable(name)}: ${JSON.stringify(value)}\n`)
        .join(''),
    ),
    section('Body', `${prettyBody(letter).replaceAll(/[^\P{Cc}\n]/gu, '\u{fffd}')}\n`),
    section('What was done', actions.length === 0 ? '' : actionsText(actions)),
  ].join('');
}

/** The body as people edit it. */
export function prettyBody({ body }: Pick<DeadLetterDetail, 'body'>): string {
  try {
    return `${JSON.stringify(JSON.parse(body), null, 2)}\n`;
  } catch {
    return body;
  }
}

export function actionsText(actions: readonly DeadLetterAction[]): string {
  if (actions.length === 0) return 'Nothing was done with dead letters so far.\n';
  const rows = actions.map(({ at, kind, by, letters, reason, detail }) => [
    timeText(at),
    kind,
    by,
    letters,
    reason ??
      Object.entries(detail)
        .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
        .join(', '),
  ]);
  return table(['AT (UTC)', 'ACTION', 'BY', 'LETTERS', 'REASON, OR WHAT WAS CHOSEN'], rows);
}
