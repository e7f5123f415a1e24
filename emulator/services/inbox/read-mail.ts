// A stored mail, taken apart for people and tests. A mail that cannot be taken apart still shows its bytes as text.
import { simpleParser } from 'mailparser';
import type { MailSummary } from './mail-store.ts';

export interface MailParts {
  readonly text: string | null;
  readonly html: string | null;
  /** As they stand in the mail, in its order. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly attachments: readonly {
    readonly filename: string | null;
    readonly contentType: string;
    readonly bytes: number;
  }[];
}
export type ReadMail = MailSummary & MailParts;

export async function readMail(bytes: Buffer): Promise<MailParts> {
  try {
    const mail = await simpleParser(bytes, { skipHtmlToText: true, skipTextToHtml: true });
    return {
      text: mail.text ?? null,
      html: typeof mail.html === 'string' ? mail.html : null,
      headers: mail.headerLines.map(({ line }) => {
        const colon = line.indexOf(':');
        return { name: line.slice(0, colon), value: line.slice(colon + 1).trim() };
      }),
      attachments: mail.attachments.map(({ filename, contentType, size }) => ({
        filename: filename ?? null,
        contentType,
        bytes: size,
      })),
    };
  } catch {
    return { text: bytes.toString('latin1'), html: null, headers: [], attachments: [] };
  }
}
