// Exchange `baton`, routing key `files.<kind>`, type `file-command`: work for ftp-sync between its ticks.
// Idempotency key: the message id; handling one twice is harmless (the file ledger decides).
import * as z from 'zod';
import { traceparentSchema } from './ids.ts';

export const fileCommandVersion = 1;
export const fileCommandType = 'file-command';
const base = { version: z.literal(fileCommandVersion), traceparent: traceparentSchema };
export const fileCommandSchema = z.discriminatedUnion('kind', [
  z.object({ ...base, kind: z.literal('sync') }),
  /** A producer of ours has put a finished file there: take it now, without the two looks. */
  z.object({ ...base, kind: z.literal('deposited'), name: z.string().min(1).max(255) }),
  /** An operator wants a rejected file tried again: `name` is what it is called in rejected/. */
  z.object({ ...base, kind: z.literal('retry'), name: z.string().min(1).max(255) }),
  /** The leader asks for its export to be written to out/. */
  z.object({ ...base, kind: z.literal('export') }),
]);
export type FileCommand = z.infer<typeof fileCommandSchema>;
