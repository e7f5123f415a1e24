// The one form of address that mail is sent to: of a watch, of a mail that is rendered, in an SMTP envelope. Stricter than
// RFC 5321 on purpose: a crafted string (CR LF, a comma, a quoted part) makes mail libraries and servers disagree on whom a
// mail goes to. Pure.
import * as z from 'zod';

/** ASCII only: without SMTPUTF8 on offer a server gets such an address raw. */
const pattern =
  /^(?=[^@]{1,64}@)[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/;

export const mailAddressSchema = z
  .email({ pattern, error: 'no mail address: use the form name@example.org' })
  .max(254);

export function isMailAddress(text: string): boolean {
  return mailAddressSchema.safeParse(text).success;
}

/** The bare address of `Baton <baton@example.org>` or of `baton@example.org`; undefined when there is none. */
export function senderAddress(from: string): string | undefined {
  const bare = /^[^<>\r\n]*<([^<>]*)>$/.exec(from)?.[1] ?? from;
  return isMailAddress(bare) ? bare : undefined;
}
