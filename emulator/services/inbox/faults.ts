// Faults of the inbox that a test or a person may order, by settings or over its API. The list is read at every step of
// a dialogue; a fault with `times` counts down and then is gone. An empty list changes nothing.
import { z } from 'zod';

const scope = {
  /** Only for recipients that contain this; `refuse` comes before any recipient is known and has no such scope. */
  recipient: z.string().max(254).optional(),
  /** How often; without it, until it is taken back. */
  times: z.int().min(1).max(1_000_000).optional(),
};
export const inboxFaultSchema = z.discriminatedUnion('kind', [
  /** 421 instead of a greeting. */
  z.strictObject({ kind: z.literal('refuse'), times: scope.times }),
  /** 550 to RCPT. */
  z.strictObject({ ...scope, kind: z.literal('reject-recipient') }),
  /** 451 to RCPT: to be tried again later. */
  z.strictObject({ ...scope, kind: z.literal('greylist') }),
  /** The connection is cut after the message, without an answer. `kept`: the mail arrived all the same. */
  z.strictObject({ ...scope, kind: z.literal('drop-after-data'), kept: z.boolean().default(true) }),
  /** The answer to the message takes this long. */
  z.strictObject({ ...scope, kind: z.literal('slow'), delayMs: z.int().min(1).max(60_000) }),
]);
export type InboxFault = z.infer<typeof inboxFaultSchema>;
export const inboxFaultsSchema = z.array(inboxFaultSchema).max(100);

/** The first fault of this kind that fits one of the recipients, counted as used. */
export function takeFault<K extends InboxFault['kind']>(
  faults: InboxFault[],
  kind: K,
  recipients: readonly string[] = [],
): Extract<InboxFault, { kind: K }> | undefined {
  const fault = faults.find(
    (candidate): candidate is Extract<InboxFault, { kind: K }> =>
      candidate.kind === kind && fits(candidate, recipients),
  );
  if (fault?.times !== undefined) {
    fault.times -= 1;
    if (fault.times === 0) faults.splice(faults.indexOf(fault), 1);
  }
  return fault;
}

function fits(fault: InboxFault, recipients: readonly string[]): boolean {
  const wanted = 'recipient' in fault ? fault.recipient : undefined;
  return wanted === undefined || recipients.some((recipient) => recipient.includes(wanted));
}
