// The inbox's HTML: the list and one mail. Everything that came in a mail is escaped, or goes into the sandboxed frame.
import type { InboxFault } from './faults.ts';
import { mailsMax, type MailSummary } from './mail-store.ts';
import type { ReadMail } from './read-mail.ts';

const shownMax = 200;

export function listPage(mails: readonly MailSummary[], faults: readonly InboxFault[]): string {
  const rows = mails
    .slice(0, shownMax)
    .map(
      (mail) =>
        `<tr><td class="subject"><a href="/mails/${mail.id}">${escape(mail.subject) || '(no subject)'}</a></td><td class="to">${escape(people(mail.to))}</td><td class="time">${time(mail.receivedAt)}</td><td class="size">${size(mail.bytes)}</td></tr>`,
    );
  const table =
    rows.length === 0
      ? '<p class="empty">No mail yet. Watch an item, and a mail comes when its price drops.</p>'
      : `<table><thead><tr><th scope="col">Subject</th><th scope="col">To</th><th scope="col">Received</th><th scope="col" class="size">Size</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
  const ordered = faults.map(({ kind }) => kind).join(', ');
  const note = ordered && `<p class="faults"><strong>Faults ordered:</strong> ${escape(ordered)}</p>`;
  const more =
    mails.length > shownMax ? `<p class="empty">and ${mails.length - shownMax} older ones</p>` : '';
  return shell(
    'Inbox',
    `<h1>Inbox</h1><div id="mails"><p role="status">${mails.length === 1 ? '1 mail' : `${mails.length} mails`}</p>${note}${table}${more}</div><footer>Mails of this machine go no further than here. The newest ${mailsMax.toLocaleString('en')} are kept.</footer><script type="module" src="/refresh.js"></script>`,
  );
}

export function mailPage(mail: ReadMail): string {
  const fact = (name: string, value: string) => `<div><dt>${name}</dt><dd>${escape(value)}</dd></div>`;
  const headers = mail.headers
    .map(({ name, value }) => `<tr><th scope="row">${escape(name)}</th><td>${escape(value)}</td></tr>`)
    .join('');
  const attachments = mail.attachments
    .map(
      ({ filename, contentType, bytes }) =>
        `<li>${escape(filename ?? 'unnamed')} <span>${escape(contentType)}, ${size(bytes)}</span></li>`,
    )
    .join('');
  return shell(
    mail.subject || '(no subject)',
    [
      `<nav><a href="/">All mails</a></nav><h1>${escape(mail.subject) || '(no subject)'}</h1>`,
      `<dl>${fact('From', mail.from || '(null sender)')}${fact('To', people(mail.to))}<div><dt>Received</dt><dd>${time(mail.receivedAt)}</dd></div>${fact('Message-ID', mail.messageId ?? '(none)')}</dl>`,
      mail.html === null
        ? ''
        : `<section><h2>HTML</h2><iframe title="HTML of this mail" sandbox="allow-popups allow-popups-to-escape-sandbox" src="/mails/${mail.id}/html"></iframe></section>`,
      mail.text === null
        ? ''
        : `<section><h2>Text</h2><pre tabindex="0" role="region" aria-label="Text of this mail">${escape(mail.text)}</pre></section>`,
      attachments && `<section><h2>Attachments</h2><ul>${attachments}</ul></section>`,
      `<details><summary>${mail.headers.length} headers</summary><div class="wide" tabindex="0" role="region" aria-label="Headers"><table>${headers}</table></div></details>`,
      `<p><a href="/mails/${mail.id}/raw">Raw source</a>, ${size(mail.bytes)}</p>`,
    ].join(''),
  );
}

export function messagePage(title: string, text: string): string {
  return shell(title, `<nav><a href="/">All mails</a></nav><h1>${escape(title)}</h1><p>${escape(text)}</p>`);
}

/** A mail's own HTML, as the frame shows it: its links open beside it. */
export function inFrame(html: string): string {
  return `<!doctype html><base target="_blank">${html}`;
}

function shell(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>${escape(title)} · Baton inbox</title><link rel="stylesheet" href="/inbox.css"></head><body><main>${body}</main></body></html>`;
}

function people(addresses: readonly string[]): string {
  const [first = '(nobody)', ...others] = addresses;
  return others.length === 0 ? first : `${first} and ${others.length} more`;
}
function time(iso: string): string {
  return `<time datetime="${escape(iso)}">${escape(iso.slice(0, 10))} ${escape(iso.slice(11, 19))} UTC</time>`;
}
function size(bytes: number): string {
  return bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KB`;
}
function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
