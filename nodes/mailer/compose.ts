// Renders one price-drop mail to its final bytes: they are stored before the first attempt and never made anew.
// Never sends, and never reads a file or a URL for its content.
import { createHash } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer/index.js';
import { z } from 'zod';
import type { ItemEvent, OutgoingMail, Watch } from '../store.ts';
import { newTraceparent } from '../../runtime/trace.ts';

// Stricter than RFC 5321 on purpose: quoted local parts and comments redirect mail in some parsers.
const recipientSchema = z
  .email()
  .max(254)
  .regex(/^[\x21-\x7e]+$/, 'ASCII without spaces');

/** Undefined when there is nothing to tell this watcher, or its address is none that mail is sent to. */
export async function composePriceDrop(options: {
  event: ItemEvent;
  watch: Watch;
  from: string;
  /** Host part of the Message-ID, and where a reader manages watches. */
  domain: string;
  manageUrl: string;
}): Promise<OutgoingMail | undefined> {
  const { event, watch, from, domain, manageUrl } = options;
  if (!isPriceDrop(event) || !recipientSchema.safeParse(watch.email).success) return undefined;
  const key = `price-drop/${event.source}/${event.sku}/${event.itemVersion}/${watch.email.toLowerCase()}`;
  // From the key alone, so that a second rendering of the same mail has the same id.
  const messageId = `<${createHash('sha256').update(key).digest('hex').slice(0, 40)}@${domain}>`;
  const currency = event.currency ?? '';
  const now = `${event.price} ${currency}`.trim();
  const before = `${event.previousPrice} ${currency}`.trim();
  const manage = `${manageUrl}#watch-${watch.id}`;
  const text = `${event.title}\n\nThe price fell from ${before} to ${now}.\n${event.inStock ? 'In stock.' : 'Out of stock.'}\n\nShop: ${event.source}, article ${event.sku}\n\nYou watch this item. Change or end that: ${manage}\n`;
  const html = `<!doctype html><html lang="en"><body style="margin:0;padding:24px;background:#f4f5f7;font:16px/1.5 system-ui,sans-serif;color:#1b1f24"><table role="presentation" width="100%" style="max-width:32rem;margin:auto;background:#fff;border-radius:8px;border-collapse:separate"><tr><td style="padding:24px"><h1 style="font-size:18px;margin:0 0 12px">${escapeHtml(event.title)}</h1><p style="margin:0 0 12px"><s style="color:#5b6570">${escapeHtml(before)}</s> <strong style="font-size:22px">${escapeHtml(now)}</strong></p><p style="margin:0;color:#5b6570">${event.inStock ? 'In stock' : 'Out of stock'} &middot; ${escapeHtml(event.source)}, article ${escapeHtml(event.sku)}</p></td></tr><tr><td style="padding:0 24px 24px;font-size:13px;color:#5b6570">You watch this item. <a href="${escapeHtml(manage)}">Change or end that</a></td></tr></table></body></html>`;
  const bytes = await new MailComposer({
    from,
    to: { name: '', address: watch.email },
    subject: `${event.title}: now ${now}`.slice(0, 200),
    text,
    html,
    messageId,
    headers: { 'Auto-Submitted': 'auto-generated', 'List-Unsubscribe': `<${manage}>` },
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build();
  return {
    key,
    kind: 'price-drop',
    from,
    to: watch.email,
    messageId,
    bytes,
    traceparent: event.traceparent ?? newTraceparent(),
  };
}

export function isPriceDrop(event: ItemEvent): boolean {
  return (
    event.change === 'price' &&
    event.price !== null &&
    event.previousPrice !== null &&
    event.price < event.previousPrice
  );
}

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
