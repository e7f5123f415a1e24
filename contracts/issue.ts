// What is wrong with one field of what somebody sent, in words for that somebody.
import * as z from 'zod';

export const issueSchema = z.object({
  /** Dotted; empty for the whole. */
  path: z.string(),
  message: z.string(),
});
export type Issue = z.infer<typeof issueSchema>;
