import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { composePriceDrop } from '../../../nodes/mailer/compose.ts';
import type { ItemEvent } from '../../../nodes/store.ts';

const event: ItemEvent = {
  version: 1,
  at: '2026-01-01T00:00:00.000Z',
  process: 'database',
  type: 'item.changed',
  id: 1,
  source: 'shop',
  sku: 's1',
  itemVersion: 7,
  change: 'price',
  title: 'Cup <b>&"x"',
  price: 8,
  previousPrice: 10,
  currency: 'EUR',
  inStock: true,
  term: 1,
};
const compose = (email: string, change: Partial<ItemEvent> = {}) =>
  composePriceDrop({
    event: { ...event, ...change },
    watch: { id: 'w', email, source: null, sku: null },
    from: 'baton@example.org',
    domain: 'example.org',
    manageUrl: 'https://example.org/',
  });

test('mail: a price drop is one message with text, escaped HTML and the headers of automatic mail', async () => {
  const mail = await compose('ann@example.org');
  const parsed = await simpleParser(mail?.bytes ?? '');
  expect(parsed.messageId).toBe(mail?.messageId);
  expect(parsed.headers.get('auto-submitted')).toBe('auto-generated');
  expect(parsed.headers.has('list')).toBe(true);
  expect(parsed.text).toContain('from 10 EUR to 8 EUR');
  expect(parsed.html).toContain('Cup &#60;b&#62;&#38;&#34;x&#34;');
});
test('mail: the same drop to the same watcher has the same key and Message-ID, whoever renders it', async () => {
  const [one, two] = [
    await compose('ann@example.org'),
    await compose('ann@example.org', { at: '2026-02-02T00:00:00.000Z' }),
  ];
  expect([one?.key, one?.messageId]).toEqual([two?.key, two?.messageId]);
});
test('mail: an address with CR LF, a space, a comma or a comment gets none, and neither does a rise', async () => {
  for (const email of [
    'a@example.org\r\nBcc: b@example.org',
    'a b@example.org',
    'a@x.org,b@x.org',
    'a(b)@x.org',
    '"a@x.org"@y.org',
  ])
    expect(await compose(email)).toBeUndefined();
  expect(await compose('a@example.org', { price: 12 })).toBeUndefined();
});
test('mail: a title with line breaks adds no header', async () => {
  const mail = await compose('ann@example.org', { title: 'Cup\r\nBcc: eve@example.org' });
  expect((await simpleParser(mail?.bytes ?? '')).bcc).toBeUndefined();
});
