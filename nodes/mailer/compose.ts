// Renders one mail to its final bytes, as text and as HTML: they are stored before the first attempt and never made anew.
// Never sends, and never reads a file or a URL for its content.
import { createHash } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer/index.js';
import { isMailAddress } from '../../contracts/mail-address.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { OutgoingMail } from '../store.ts';
import { writeLetter, type Entry, type Letter } from './letter.ts';
import type { Digest } from './notice.ts';

export interface MailSettings {
  readonly from: string;
  /** Host part of the Message-ID. */
  readonly domain: string;
  /** The page that the links lead to. */
  readonly pageUrl: string;
}

const subjectLengthMax = 200;

/** Undefined when its address is none that mail is sent to. */
export async function composeMail(
  digest: Digest,
  { from, domain, pageUrl }: MailSettings,
): Promise<OutgoingMail | undefined> {
  const { key, recipient, notices, traceparent } = digest;
  if (!isMailAddress(recipient)) return undefined;
  // From the key alone, so that a second rendering of the same mail has the same id.
  const messageId = `<${createHash('sha256').update(key).digest('hex').slice(0, 40)}@${domain}>`;
  const letter = writeLetter(notices);
  const link = (anchor: string): string => new URL(anchor, pageUrl).href;
  const manage = link(`#watch-${digest.watch}`);
  const unsubscribe = new URL(publicRoutes.endOfWatch(digest.watch), pageUrl);
  const bytes = await new MailComposer({
    from,
    to: { name: '', address: recipient },
    subject: letter.subject.slice(0, subjectLengthMax),
    text: asText(letter, { link, manage }),
    html: asHtml(letter, { link, manage }),
    messageId,
    headers: {
      'Auto-Submitted': 'auto-generated',
      'List-Unsubscribe': `<${unsubscribe.href}>`,
      // RFC 8058 wants HTTPS for the one click; a laptop's page has none, and the address leads to the page.
      ...(unsubscribe.protocol === 'https:' ? { 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' } : {}),
    },
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build();
  return { key, kind: notices[0].kind, from, to: recipient, messageId, bytes, traceparent };
}

interface Links {
  readonly link: (anchor: string) => string;
  readonly manage: string;
}

function asText({ heading, entries, more, because }: Letter, { link, manage }: Links): string {
  const paragraphs = [
    heading,
    ...entries.map(({ title, anchor, change, details }) =>
      [
        title,
        ...(change ? [`${change.now}, was ${change.before}${percentText(change.percent)}`] : []),
        ...details,
        ...(anchor === undefined ? [] : [link(anchor)]),
      ].join('\n'),
    ),
    ...(more > 0 ? [`And ${more} more.`] : []),
    // What follows a line of `-- ` is a signature to mail programs.
    `-- \n${because} See or end this watch:\n${manage}`,
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

// Styles stand inline, since some mail programs drop a style element; the element adds the dark colours where it is read.
const ink = '#191d24';
const quiet = '#586170';
const font = "font-family:system-ui,-apple-system,'Segoe UI',sans-serif";
const dark = `:root{color-scheme:light dark}@media (prefers-color-scheme:dark){.page{background:#121418!important}.card{background:#1a1d23!important;border-color:#2d323b!important}.ink{color:#e3e7ed!important}.quiet{color:#98a2b1!important}.fell{color:#5fd3ac!important}.rule{border-color:#2d323b!important}a{color:#82b9f2!important}}`;

function asHtml({ subject, heading, entries, more, because }: Letter, { link, manage }: Links): string {
  const rows = entries.map((entry) => entryHtml(entry, link)).join('');
  const left =
    more > 0
      ? `<tr><td class="rule quiet" style="padding:14px 24px;border-top:1px solid #dcdfe5;color:${quiet}">and ${more} more</td></tr>`
      : '';
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>${escapeHtml(subject)}</title><style>${dark}</style></head><body class="page" style="margin:0;padding:0;background:#f4f5f7"><table role="presentation" class="page" width="100%" cellspacing="0" cellpadding="0" style="background:#f4f5f7"><tr><td align="center" style="padding:24px 12px"><table role="presentation" class="card" width="100%" cellspacing="0" cellpadding="0" style="max-width:560px;background:#ffffff;border:1px solid #dcdfe5;border-radius:8px;border-collapse:separate;text-align:left;${font};font-size:15px;line-height:1.5;color:${ink}"><tr><td style="padding:20px 24px 14px"><h1 class="ink" style="margin:0;font-size:20px;line-height:1.3;color:${ink}">${escapeHtml(heading)}</h1></td></tr>${rows}${left}<tr><td class="rule quiet" style="padding:14px 24px 20px;border-top:1px solid #dcdfe5;font-size:13px;color:${quiet}">${escapeHtml(because)} <a href="${escapeHtml(manage)}" style="color:#0a5299">See or end this watch</a></td></tr></table></td></tr></table></body></html>`;
}

function entryHtml({ title, anchor, change, details }: Entry, link: Links['link']): string {
  const name = escapeHtml(title);
  const linked =
    anchor === undefined ? name : `<a href="${escapeHtml(link(anchor))}" style="color:#0a5299">${name}</a>`;
  const price = change
    ? `<p style="margin:2px 0 0"><strong class="fell" style="font-size:20px;color:#0b6b52">${escapeHtml(change.now)}</strong> <s class="quiet" style="color:${quiet}">${escapeHtml(change.before)}</s> <span class="quiet" style="color:${quiet}">${percentText(change.percent)}</span></p>`
    : '';
  const more = details.map((detail, index) => {
    // Where there is no price, the first line is what the mail has to say.
    const [style, colour] = change || index > 0 ? ['quiet', quiet] : ['ink', ink];
    return `<p class="${style}" style="margin:2px 0 0;font-size:13px;color:${colour};overflow-wrap:anywhere">${escapeHtml(detail)}</p>`;
  });
  return `<tr><td class="rule" style="padding:14px 24px;border-top:1px solid #dcdfe5;overflow-wrap:anywhere"><h2 class="ink" style="margin:0;font-size:15px;line-height:1.4;color:${ink}">${linked}</h2>${price}${more.join('')}</td></tr>`;
}

/** Nothing where it rounds to none. */
const percentText = (percent: number): string => (percent === 0 ? '' : ` (\u2212${-percent}\u00a0%)`);

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
