// The one form of address that is put into an SMTP envelope. Stricter than RFC 5321 on purpose: a crafted string
// (CR LF, a comma, a quoted part) makes mail libraries and servers disagree on whom a mail goes to. Pure.

const addressLengthMax = 254;
const localLengthMax = 64;
const address =
  /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/** ASCII only: without SMTPUTF8 on offer a server gets such an address raw. */
export function isMailAddress(text: string): boolean {
  return text.length <= addressLengthMax && text.indexOf('@') <= localLengthMax && address.test(text);
}

/** The bare address of `Baton <baton@example.org>` or of `baton@example.org`; undefined when there is none. */
export function senderAddress(from: string): string | undefined {
  const bare = /^[^<>\r\n]*<([^<>]*)>$/.exec(from)?.[1] ?? from;
  return isMailAddress(bare) ? bare : undefined;
}
