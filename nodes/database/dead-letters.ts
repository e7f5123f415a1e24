// Dead letters in the database: kept, listed without being consumed, settled in bounded steps. States and their
// transitions are in functions/dead-letters.sql; each call is one round trip.
import type { DeadLetter, DeadLetterAction, DeadLetterGroup } from '../../contracts/dead-letter.ts';
import type {
  DeadLetterStore,
  LetterToSend,
  NewDeadLetter,
  StoredDeadLetter,
} from '../dead-letters/store.ts';
import type { Queries } from './pool.ts';

/** Times come as dates. */
type WithDates<T, K extends keyof T> = Omit<T, K> & Record<K, Date>;

const groupsMax = 1_000;
const actionsOfLetterMax = 100;
const lettersOfMessageMax = 200;

const letterColumns = `dead_letter_id AS id, queue, message_id AS "messageId", source, code, reason, group_id AS "group", state, retries,
  times, body_before IS NOT NULL AS edited, died_at AS "diedAt", changed_at AS "changedAt"`;
const actionColumns = 'action_id AS action, at, kind, by, reason, detail, letters';

export function deadLetterQueries(queries: Queries): DeadLetterStore {
  const { query, read } = queries;
  return {
    async keepDeadLetters(term, letters) {
      const column = <T>(read: (letter: NewDeadLetter) => T): T[] => letters.map(read);
      await query(
        `keeping ${letters.length} dead letters`,
        'SELECT keep_dead_letters($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)',
        [
          term,
          column(({ queue }) => queue),
          column(({ routingKey }) => routingKey),
          column(({ messageId }) => messageId),
          column(({ type }) => type),
          column(({ source }) => source),
          column(({ code }) => code),
          column(({ reason }) => reason),
          column(({ group }) => group),
          column(({ headers }) => JSON.stringify(headers)),
          column(({ body }) => body),
          column(({ traceparent }) => traceparent),
          column(({ retries }) => retries),
          column(({ cameFrom }) => cameFrom),
          column(({ fingerprint }) => fingerprint),
          column(({ diedAt }) => diedAt),
        ],
      );
    },
    async openDeadLetters() {
      const [row] = await read<{ open: Record<string, number> }>(
        'counting dead letters',
        'SELECT open_dead_letters AS open FROM totals WHERE id = 1',
      );
      if (!row) throw new Error('nothing has totals');
      return row.open;
    },
    async deadLetterGroups(select, forWhat = 'retry') {
      const rows = await read<WithDates<DeadLetterGroup, 'oldest' | 'newest'>>(
        'grouping dead letters',
        // The reason is looked up afterwards: reasons that are sorted with hundreds of thousands of letters take seconds.
        `SELECT "group", queue, source, code, (SELECT reason FROM dead_letters WHERE dead_letter_id = first) AS reason, letters, oldest, newest
         FROM (SELECT group_id AS "group", queue, source, code, min(dead_letter_id) AS first, count(*) AS letters,
             min(died_at) AS oldest, max(died_at) AS newest
           FROM open_dead_letters($1, $3) GROUP BY group_id, queue, source, code ORDER BY letters DESC, group_id LIMIT $2) AS grouped
         ORDER BY letters DESC, "group"`,
        [JSON.stringify(select), groupsMax, forWhat],
      );
      return rows.map((row) => ({
        ...row,
        oldest: row.oldest.toISOString(),
        newest: row.newest.toISOString(),
      }));
    },
    async deadLetters({ state, group, queue, code, source }, { after, limit }) {
      const rows = await read<WithDates<DeadLetter, 'diedAt' | 'changedAt'>>(
        'listing dead letters',
        `SELECT ${letterColumns} FROM dead_letters
         WHERE dead_letter_id > $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR group_id = $3)
           AND ($4::text IS NULL OR queue = $4) AND ($5::text IS NULL OR code = $5) AND ($6::text IS NULL OR source = $6)
         ORDER BY dead_letter_id LIMIT $7`,
        [after, state ?? null, group ?? null, queue ?? null, code ?? null, source ?? null, limit],
      );
      return rows.map(dated);
    },
    async deadLetter(id) {
      const [row] = await read<WithDates<StoredDeadLetter, 'diedAt' | 'changedAt'>>(
        'reading a dead letter',
        `SELECT ${letterColumns}, type, routing_key AS "routingKey", traceparent, came_from AS "cameFrom", headers, body,
           body_before AS "bodyBefore" FROM dead_letters WHERE dead_letter_id = $1`,
        [id],
      );
      if (!row) return undefined;
      const actions = await read<WithDates<DeadLetterAction, 'at'>>(
        'reading what was done with a dead letter',
        `SELECT ${actionColumns} FROM dead_letter_actions JOIN dead_letter_acted USING (action_id)
         WHERE dead_letter_id = $1 ORDER BY at DESC LIMIT $2`,
        [id, actionsOfLetterMax],
      );
      return { letter: dated(row), actions: actions.map(asAction) };
    },
    async deadLetterActions(limit) {
      const rows = await read<WithDates<DeadLetterAction, 'at'>>(
        'listing what was done with dead letters',
        `SELECT ${actionColumns} FROM dead_letter_actions ORDER BY at DESC LIMIT $1`,
        [limit],
      );
      return rows.map(asAction);
    },
    async lastDeadLetter() {
      const [row] = await read<{ last: number }>(
        'looking for the newest dead letter',
        'SELECT coalesce(max(dead_letter_id), 0) AS last FROM dead_letters',
      );
      return row?.last ?? 0;
    },
    async settleDeadLetters(term, { action, kind, by, reason, select, upTo, lettersMax }) {
      const [row] = await query<{ settled: number }>(
        `settling dead letters (${kind})`,
        'SELECT settle_dead_letters($1, $2, $3, $4, $5, $6, $7, $8) AS settled',
        [term, action, kind, by, reason, JSON.stringify(select), upTo, lettersMax],
      );
      return row?.settled ?? 0;
    },
    async editDeadLetter(term, { action, by, id, body }) {
      const [row] = await query<{ edited: boolean }>(
        `editing dead letter ${id}`,
        'SELECT edit_dead_letter($1, $2, $3, $4, $5) AS edited',
        [term, action, by, id, body],
      );
      return row?.edited === true;
    },
    deadLettersToSend: (term, { lettersMax, bytesMax }) =>
      query<LetterToSend>(
        'looking for dead letters to send again',
        `SELECT dead_letter_id AS id, queue, routing_key AS "routingKey", message_id AS "messageId", headers, body, retries
         FROM dead_letters_to_send($1, $2, $3)`,
        [term, lettersMax, bytesMax],
      ),
    async deadLettersSent(term, ids) {
      await query(`noting ${ids.length} dead letters as sent`, 'SELECT dead_letters_sent($1, $2)', [
        term,
        ids,
      ]);
    },
  };
}

/** The dead letters of a message, and of its items that died alone. */
export async function deadLettersOf(queries: Queries, messageId: string): Promise<DeadLetter[]> {
  const rows = await queries.read<WithDates<DeadLetter, 'diedAt' | 'changedAt'>>(
    'looking for the dead letters of a message',
    `SELECT ${letterColumns} FROM dead_letters
     WHERE message_id = $1 OR (message_id COLLATE "C" >= $1 || '/' AND message_id COLLATE "C" < $1 || '0')
     ORDER BY dead_letter_id LIMIT $2`, // The character after a slash is 0.
    [messageId, lettersOfMessageMax],
  );
  return rows.map(dated);
}

function dated<T extends { diedAt: Date; changedAt: Date }>(
  row: T,
): Omit<T, 'diedAt' | 'changedAt'> & { diedAt: string; changedAt: string } {
  return { ...row, diedAt: row.diedAt.toISOString(), changedAt: row.changedAt.toISOString() };
}
function asAction(row: WithDates<DeadLetterAction, 'at'>): DeadLetterAction {
  return { ...row, at: row.at.toISOString() };
}
