// The outbox: what was matched becomes mails once, due mails are published, claimed and reported. The states and their
// transitions are functions of the migration; each call is one round trip. Never renders and never sends.
import type { ItemEvent, DueMail, OutgoingMail, Watch } from '../store.ts';
import type { MailClaimAnswer, MailResult } from '../../contracts/node-api.ts';
import type { Queries } from './pool.ts';
import { readFeed } from './read-items.ts';

export async function unmatched(
  queries: Queries,
  limit: number,
): Promise<{ cursor: number; events: ItemEvent[] }> {
  const [row] = await queries.query<{ matched_to: number }>(
    'reading the mail cursor',
    'SELECT matched_to FROM mail_cursor WHERE id = 1',
  );
  const cursor = row?.matched_to ?? 0;
  return { cursor, events: await readFeed(queries, { after: cursor, limit }) };
}

export function watchesFor(queries: Queries, { source, sku }: ItemEvent): Promise<Watch[]> {
  return queries.query<Watch & Record<string, unknown>>(
    'matching watches',
    // One address that watches the item in two ways gets one mail.
    `SELECT DISTINCT ON (lower(email)) id, email, source, sku FROM watches
     WHERE (source IS NULL OR source = $1) AND (sku IS NULL OR sku = $2) ORDER BY lower(email), id`,
    [source, sku],
  );
}

export async function queueMails(
  queries: Queries,
  term: number,
  { from, to, mails }: { from: number; to: number; mails: readonly OutgoingMail[] },
): Promise<void> {
  const column = <T>(read: (mail: OutgoingMail) => T): T[] => mails.map(read);
  await queries.query(
    `queueing ${mails.length} mails`,
    'SELECT queue_mails($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
    [
      term,
      from,
      to,
      column(({ key }) => key),
      column(({ kind }) => kind),
      column(({ from: sender }) => sender),
      column(({ to: recipient }) => recipient),
      column(({ messageId }) => messageId),
      column(({ bytes }) => bytes),
      column(({ traceparent }) => traceparent),
    ],
  );
}

export function dueMails(queries: Queries, term: number, limit: number): Promise<DueMail[]> {
  return queries.query<DueMail & Record<string, unknown>>(
    'looking for due mails',
    'SELECT mail_id AS "mailId", attempt, traceparent FROM due_mails($1, $2)',
    [term, limit],
  );
}

export async function mailPublished(
  queries: Queries,
  term: number,
  { mailId, attempt }: DueMail,
): Promise<void> {
  await queries.query('noting a published mail', 'SELECT mail_published($1, $2, $3)', [
    term,
    mailId,
    attempt,
  ]);
}

export async function claimMail(
  queries: Queries,
  term: number,
  mailId: string,
  { attempt, owner }: { attempt: number; owner: string },
): Promise<MailClaimAnswer> {
  const [row] = await queries.query<{
    skip: string | null;
    sender: string;
    recipient: string;
    content: Buffer;
    message_id: string;
  }>(
    'claiming a mail',
    'SELECT skip, sender, recipient, content, message_id FROM claim_mail($1, $2, $3, $4)',
    [term, mailId, attempt, owner],
  );
  if (!row || row.skip !== null) return { kind: 'skip', reason: row?.skip ?? 'there is no such mail' };
  return {
    kind: 'send',
    from: row.sender,
    to: row.recipient,
    bytes: row.content.toString('base64'),
    messageId: row.message_id,
  };
}

export async function mailResult(
  queries: Queries,
  term: number,
  mailId: string,
  { attempt, owner, outcome, detail }: MailResult,
): Promise<void> {
  await queries.query('reporting a mail', 'SELECT report_mail($1, $2, $3, $4, $5, $6)', [
    term,
    mailId,
    attempt,
    owner,
    outcome,
    detail,
  ]);
}
