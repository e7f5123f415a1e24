// Exchange `baton`, routing key `mail.send`, type `mail`: "this mail is due". It carries no address and
// no text: the mail function claims the mail at the leader right before it speaks SMTP.
// Idempotency key: (mailId, attempt); the message id is `<mailId>/<attempt>`.
import * as z from 'zod';
import { traceparentSchema } from './ids.ts';

export const mailMessageVersion = 1;
export const mailMessageType = 'mail';
export const mailMessageSchema = z.strictObject({
  version: z.literal(mailMessageVersion),
  mailId: z.uuid(),
  attempt: z.int().min(1),
  traceparent: traceparentSchema,
});
export type MailMessage = z.infer<typeof mailMessageSchema>;
