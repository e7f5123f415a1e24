import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { composeMail } from '../../../nodes/mailer/compose.ts';
import { priceText } from '../../../nodes/mailer/letter.ts';
import type { LeaderChange, Notice, PriceDrop, RejectedFile } from '../../../nodes/mailer/notice.ts';

const settings = { from: 'baton@example.org', domain: 'example.org', pageUrl: 'https://example.org' };
const watch = '3f0e8a52-9a68-4f0c-8d5e-0c8b4a1d2e11';
const drop = (change: Partial<PriceDrop> = {}): PriceDrop => ({
  kind: 'price-drop',
  source: 'shop',
  sku: 's1',
  title: 'Cup',
  price: 8,
  previousPrice: 10,
  currency: 'EUR',
  inStock: true,
  ...change,
});
const compose = (first: Notice, ...others: Notice[]) => composeFor('ann@example.org', first, ...others);
function composeFor(recipient: string, first: Notice, ...others: Notice[]) {
  const notices: [Notice, ...Notice[]] = [first, ...others];
  return composeMail(
    { key: `a key/${recipient}`, recipient, watch, noticeIds: ['1'], notices, traceparent: 't' },
    settings,
  );
}
async function read(mail: ReturnType<typeof compose>) {
  const { subject = '', text = '', html, headers, ...rest } = await simpleParser((await mail)?.bytes ?? '');
  return { subject, text, html: html || '', headers, ...rest };
}

test('mail: a price drop is one message with text, escaped HTML and the headers of automatic mail', async () => {
  const mail = await read(compose(drop({ title: 'Cup <b>&"x"' })));
  expect(mail.messageId).toBe((await compose(drop()))?.messageId);
  expect(mail.headers.get('auto-submitted')).toBe('auto-generated');
  expect(mail.headers.get('list')).toEqual({
    unsubscribe: { url: `https://example.org/watches/${watch}/end` },
    'unsubscribe-post': { name: 'List-Unsubscribe=One-Click' },
  });
  expect(mail.subject).toBe('Cup <b>&"x" now €8.00');
  expect(mail.text).toContain('€8.00, was €10.00 (−20\u00a0%)');
  expect(mail.html).toContain('Cup &#60;b&#62;&#38;&#34;x&#34;');
  expect(mail.html).not.toContain('<b>');
});

test('mail: prices have the digits and the sign of their currency', () => {
  expect(
    [
      [7.25, 'EUR'],
      [8, 'GBP'],
      [1_234.5, 'USD'],
      [1_000, 'JPY'],
      [0.0125, 'EUR'],
      [12, 'XYZ'],
      [10, null],
    ].map(([price, currency]) => priceText(price as number, currency as string | null)),
  ).toEqual(['€7.25', '£8.00', 'US$1,234.50', 'JP¥1,000', '€0.0125', 'XYZ\u00a012.00', '10.00']);
});

test('mail: several drops are one mail, the deepest first, and an item that fell twice fell once', async () => {
  const mail = await read(
    compose(
      drop({ sku: 'a', title: 'Pan', previousPrice: 10, price: 9 }),
      drop({ sku: 'b', title: 'Pot', previousPrice: 10, price: 6 }),
      drop({ sku: 'a', title: 'Pan', previousPrice: 9, price: 8.5 }),
    ),
  );
  expect(mail.subject).toBe('2 prices fell: Pot now €6.00');
  expect([...mail.text.matchAll(/^€.*$/gm)].map(([line]) => line)).toEqual([
    '€6.00, was €10.00 (−40\u00a0%)',
    '€8.50, was €10.00 (−15\u00a0%)',
  ]);
});

test('mail: a thousand drops are a mail of fifty and a count', async () => {
  const [first, ...others] = Array.from({ length: 1_000 }, (_, index) =>
    drop({ sku: `s${index}`, title: `Item ${index}` }),
  );
  if (!first) throw new Error('there is no first one');
  const mail = await read(compose(first, ...others));
  expect(mail.text.match(/^Item \d+$/gm)).toHaveLength(50);
  expect(mail.text).toContain('And 950 more.');
  expect(mail.html).toContain('and 950 more');
});

test('mail: its links lead to the item and to the watch on the page', async () => {
  const { text, html } = await read(compose(drop({ source: 'shop', sku: 'a/b "c' })));
  const links = ['https://example.org/#item-shop/a%2Fb%20%22c', `https://example.org/#watch-${watch}`];
  for (const link of links) {
    expect(text.split('\n')).toContain(link);
    expect(html).toContain(`href="${link}"`);
  }
});

test('mail: a rejected file is told with its reason and what was wrong with its rows', async () => {
  const file: RejectedFile = {
    kind: 'file-rejected',
    name: 'acme_today.csv',
    openedAt: '2026-01-01T10:00:00+00:00',
    reason: '3 of 4 rows are bad, at most 10 % may be',
    problems: ['row 2: price: Invalid input'],
  };
  const mail = await read(compose(file));
  expect(mail.subject).toBe('File rejected: acme_today.csv');
  for (const body of [mail.text, mail.html]) {
    expect(body).toContain('3 of 4 rows are bad, at most 10 % may be');
    expect(body).toContain('row 2: price: Invalid input');
    expect(body).toContain('1 Jan 2026, 10:00:00 UTC');
  }
  const named = { ...file, reason: `${file.reason}; row 2: price: Invalid input` };
  const { text } = await read(compose(named));
  expect(text?.match(/row 2: price/g)).toHaveLength(1); // Not again below the reason.
  expect((await read(compose(file, { ...file, name: 'acme_2.csv' }))).subject).toBe(
    '2 files rejected: acme_2.csv',
  );
});

test('mail: a leader that flaps is one mail, the newest change first', async () => {
  const change = (leader: string, before: string, term: number): LeaderChange => ({
    kind: 'leader-changed',
    leader,
    before,
    term,
    at: '2026-01-01T10:00:00+00:00',
  });
  const mail = await read(compose(change('node-2', 'node-1', 4), change('node-1', 'node-2', 6)));
  expect(mail.subject).toBe('node-1 leads, after 2 changes');
  expect(mail.text.indexOf('node-1 took over from node-2')).toBeLessThan(
    mail.text.indexOf('node-2 took over from node-1'),
  );
});

test('mail: an address that the function sends nothing to gets none', async () => {
  for (const address of [
    'a@example.org\r\nBcc: b@example.org',
    'a b@example.org',
    'a@x.org,b@x.org',
    'a(b)@x.org',
    '"a@x.org"@y.org',
    `${'a'.repeat(65)}@x.org`,
  ])
    expect(await composeFor(address, drop())).toBeUndefined();
});

test('mail: a title with line breaks adds no header', async () => {
  const mail = await read(compose(drop({ title: 'Cup\r\nBcc: eve@example.org' })));
  expect(mail.bcc).toBeUndefined();
});
