// Exchange `baton`, routing key `mail.send`, type `mail`: "this mail is due". It carries no address and
// no text: the mail function claims the mail at the leader right before it speaks SMTP.
// Idempotency key: (mailId, attempt); the message id is `<mailId>/<attempt>`.
import * as z from 'zod';
import { traceparentSchema } from './ids.ts';

export const mailMessageVersion = 1;
export const mailMessageType = 'mail';
export const mailMessageSchema = z.object({
  version: z.literal(mailMessageVersion),
  mailId: z.uuid(),
  attempt: z.int().min(1),
  traceparent: traceparentSchema,
});
export type MailMessage = z.infer<typeof mailMessageSchema>;

/** What a claimed mail may take, in milliseconds. */
export const mailTimes = {
  /** Up to its last byte. */
  dialogueMs: 20_000,
  /**
   * The server's answer to that byte. RFC 5321, 4.5.3.2.6, asks for ten minutes: a server scans the mail then, and delivers it
   * however long that took, so who gives up and sends again sends a copy.
   */
  answerMs: 600_000,
  reportMs: 10_000,
} as const;
/** How long a claim holds: longer than all of these, since a mail whose claim has ended is sent again. */
export const mailClaimMs = 660_000;
