// The outbox: what happened becomes notices once, gathered notices become mails, due mails are published, claimed and
// reported. The states and their transitions are functions of the migrations; each call is one round trip. Never renders
// and never sends.
import { z } from 'zod';
import type { MailClaimAnswer, MailResult } from '../../contracts/node-api.ts';
import { noticeSchema, type Digest, type DigestRules, type DueDigest } from '../mailer/notice.ts';
import type { DueMail, ErasedCounts, NoticeStep, OutgoingMail } from '../store.ts';
import type { Queries } from './pool.ts';

const noticesPerMail = 5_000; // Of which a mail shows the first few.
const noticesSchema = z.tuple([noticeSchema], noticeSchema);

export async function makeNotices(
  queries: Queries,
  term: number,
  { eventsMax, noticesMax, traceparent }: NoticeStep,
): Promise<boolean> {
  const [row] = await queries.query<{ more: boolean }>(
    'making notices',
    'SELECT make_notices($1, $2, $3, $4) AS more',
    [term, eventsMax, noticesMax, traceparent],
  );
  return row?.more === true;
}

export function dueDigests(
  queries: Queries,
  term: number,
  rules: DigestRules,
  limit: number,
): Promise<DueDigest[]> {
  const kinds = Object.entries(rules);
  return queries.query<DueDigest & Record<string, unknown>>(
    'looking for due digests',
    'SELECT kind, addressee FROM due_digests($1, $2, $3, $4, $5)',
    [
      term,
      kinds.map(([kind]) => kind),
      kinds.map(([, { gatherMs }]) => gatherMs),
      kinds.map(([, { quietMs }]) => quietMs),
      limit,
    ],
  );
}

/** The newest notice names the mail. */
export async function readDigest(
  queries: Queries,
  { kind, addressee }: DueDigest,
): Promise<Digest | undefined> {
  const [row] = await queries.query<{
    key: string;
    recipient: string;
    watch: string;
    notice_ids: string[];
    contents: unknown;
    traceparent: string;
  }>(
    'reading a digest',
    `SELECT (array_agg(key ORDER BY notice_id DESC))[1] AS key, min(recipient) AS recipient,
       (array_agg(watch ORDER BY notice_id))[1] AS watch, array_agg(notice_id ORDER BY notice_id) AS notice_ids,
       jsonb_agg(content ORDER BY notice_id) AS contents, (array_agg(traceparent ORDER BY notice_id DESC))[1] AS traceparent
     FROM (
       SELECT * FROM notices WHERE kind = $1 AND lower(recipient) = $2 AND mail_id IS NULL ORDER BY notice_id LIMIT $3
     ) AS told HAVING count(*) > 0`,
    [kind, addressee, noticesPerMail],
  );
  if (!row) return undefined;
  const { notice_ids: noticeIds, contents, ...digest } = row;
  return { ...digest, noticeIds, notices: noticesSchema.parse(contents) };
}

export async function queueDigest(
  queries: Queries,
  term: number,
  noticeIds: readonly string[],
  mail: OutgoingMail | undefined,
): Promise<void> {
  await queries.query(
    `queueing a mail of ${noticeIds.length} notices`,
    'SELECT queue_digest($1, $2, $3, $4, $5, $6, $7, $8, $9)',
    [
      term,
      noticeIds,
      mail?.key,
      mail?.kind,
      mail?.from,
      mail?.to,
      mail?.messageId,
      mail?.bytes,
      mail?.traceparent,
    ],
  );
}

export async function eraseAddress(queries: Queries, term: number, address: string): Promise<ErasedCounts> {
  const [row] = await queries.query<ErasedCounts & Record<string, unknown>>(
    'erasing an address', // Which one stands in no log.
    'SELECT watches, mails, suppressions FROM erase_address($1, $2)',
    [term, address],
  );
  if (!row) throw new Error('erasing an address answered nothing');
  return row;
}

export async function deferredMails(queries: Queries): Promise<number> {
  const [row] = await queries.read<{ deferred: number }>(
    'counting deferred mails',
    `SELECT count(*)::integer AS deferred FROM mails WHERE state IN ('queued', 'unknown') AND attempt > 1`,
  );
  return row?.deferred ?? 0;
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
