// The outbox: what happened becomes notices once, gathered notices become mails, due mails are published, claimed and
// reported. The states and their transitions are in functions/mails.sql and notices.sql; each call is one round trip. Never
// renders and never sends.
import { z } from 'zod';
import { mailClaimMs } from '../../contracts/mail-message.ts';
import type { MailResultAnswer } from '../../contracts/node-api.ts';
import { noticeSchema, type DueDigest } from '../mailer/notice.ts';
import type { ErasedCounts } from '../../contracts/public-api.ts';
import type { DueMail, MailStore } from '../store.ts';
import type { Queries } from './pool.ts';

const noticesPerMail = 5_000; // Of which a mail shows the first few.
const noticesSchema = z.tuple([noticeSchema], noticeSchema);

export function mailQueries({ query, read }: Queries): MailStore {
  return {
    async makeNotices(term, { eventsMax, noticesMax, traceparent }) {
      const [row] = await query<{ more: boolean }>(
        'making notices',
        'SELECT make_notices($1, $2, $3, $4) AS more',
        [term, eventsMax, noticesMax, traceparent],
      );
      return row?.more === true;
    },
    dueDigests(term, rules, limit) {
      const kinds = Object.entries(rules);
      return query<DueDigest>(
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
    },
    async readDigest({ kind, addressee }) {
      const [row] = await query<{
        key: string;
        recipient: string;
        watch: string;
        notice_ids: string[];
        contents: unknown;
        traceparent: string;
      }>(
        'reading a digest',
        // The newest notice names the mail.
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
    },
    async queueDigest(term, noticeIds, mail) {
      await query(
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
    },
    async deferredMails() {
      const [row] = await read<{ deferred: number }>(
        'counting deferred mails',
        `SELECT count(*)::integer AS deferred FROM mails WHERE state IN ('queued', 'unknown') AND attempt > 1`,
      );
      return row?.deferred ?? 0;
    },
    dueMails: (term, limit) =>
      query<DueMail>(
        'looking for due mails',
        'SELECT mail_id AS "mailId", attempt, traceparent FROM due_mails($1, $2)',
        [term, limit],
      ),
    async mailPublished(term, { mailId, attempt }) {
      await query('noting a published mail', 'SELECT mail_published($1, $2, $3)', [term, mailId, attempt]);
    },
    async claimMail(term, mailId, { attempt, owner }) {
      const [row] = await query<{
        skip: string | null;
        sender: string;
        recipient: string;
        content: Buffer;
        message_id: string;
      }>(
        'claiming a mail',
        'SELECT skip, sender, recipient, content, message_id FROM claim_mail($1, $2, $3, $4, $5)',
        [term, mailId, attempt, owner, mailClaimMs],
      );
      if (!row || row.skip !== null) return { kind: 'skip', reason: row?.skip ?? 'there is no such mail' };
      return {
        kind: 'send',
        from: row.sender,
        to: row.recipient,
        bytes: row.content.toString('base64'),
        messageId: row.message_id,
      };
    },
    async mailResult(term, mailId, { attempt, owner, outcome, detail }) {
      const [row] = await query<MailResultAnswer>(
        'reporting a mail',
        'SELECT report_mail($1, $2, $3, $4, $5, $6) AS state',
        [term, mailId, attempt, owner, outcome, detail],
      );
      if (!row) throw new Error('reporting a mail answered nothing');
      return { state: row.state };
    },
    async eraseAddress(term, address) {
      const [row] = await query<ErasedCounts>(
        'erasing an address', // Which one stands in no log.
        'SELECT watches, mails, suppressions FROM erase_address($1, $2)',
        [term, address],
      );
      if (!row) throw new Error('erasing an address answered nothing');
      return row;
    },
  };
}
