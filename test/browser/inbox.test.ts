// The inbox's pages in a real browser: to be read by everybody, and deaf to whatever a mail brings along.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startInbox, type Inbox } from '../../emulator/services/inbox/inbox.ts';
import { createLogger } from '../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../support/certificates.ts';
import { sidewaysPx, violations } from './accessibility.ts';
import { launchChromium, noChromium } from './chromium.ts';

const login = { username: 'baton', password: 'of the test' };
let base: string;
let certificates: TestCertificates;
let inbox: Inbox;
let browser: Browser | undefined;

beforeAll(async () => {
  if (noChromium !== undefined) return;
  base = await mkdtemp(join(tmpdir(), 'baton-inbox-page-'));
  certificates = await makeCertificates(base);
  await writeFile(join(base, 'credentials.json'), JSON.stringify(login));
  await writeFile(join(base, 'token'), 'token-of-the-test');
  inbox = await startInbox(
    {
      host: '127.0.0.1',
      smtpPort: 0,
      pagePort: 0,
      certFile: certificates.certFile,
      keyFile: certificates.keyFile,
      credentialsFile: join(base, 'credentials.json'),
      tokenFile: join(base, 'token'),
      folder: join(base, 'mails'),
      faults: [{ kind: 'greylist', recipient: 'nobody@', times: 3 }],
    },
    createLogger({ process: 'smtp', write: () => undefined }),
  );
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await inbox?.close();
  if (base !== undefined) await rm(base, { recursive: true, force: true });
});
beforeEach((context) => context.skip(noChromium !== undefined, noChromium));

async function send(subject: string, html: string): Promise<void> {
  const transport = createTransport({
    host: '127.0.0.1',
    port: inbox.smtpPort,
    requireTLS: true,
    tls: { ca: certificates.ca },
    auth: { user: login.username, pass: login.password },
  });
  try {
    await transport.sendMail({
      from: 'baton@example.org',
      to: `${'a-long-name-'.repeat(4)}@example.org`,
      subject,
      text: 'The price fell from 10.00 to 8.00.',
      html,
    });
  } finally {
    transport.close();
  }
}
async function open(
  path: string,
  options: { colorScheme?: 'light' | 'dark'; width?: number } = {},
): Promise<Page> {
  if (!browser) throw new Error('no browser was started');
  const { colorScheme = 'light', width = 1_000 } = options;
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } });
  await page.goto(inbox.pageUrl + path);
  return page;
}

test('a mail that arrives appears in the open list by itself, and keeps the focus where it was', async () => {
  await send('First mail', '<p>8.00</p>');
  const page = await open('/');
  await page.getByRole('link', { name: 'First mail' }).focus();
  await send('Second mail', '<p>7.00</p>');
  await page.getByRole('link', { name: 'Second mail' }).waitFor();
  expect(await page.locator('#mails a').allInnerTexts()).toEqual(['Second mail', 'First mail']);
  expect(await page.evaluate('document.activeElement.textContent')).toBe('First mail');
  await page.close();
});

test('the script and the picture of a mail do nothing, and its link opens outside of the frame', async () => {
  const asked: (string | undefined)[] = [];
  const outside = createServer(({ url }, response) => {
    asked.push(url);
    response.end('outside');
  });
  outside.listen(0, '127.0.0.1');
  await once(outside, 'listening');
  const origin = `http://127.0.0.1:${(outside.address() as AddressInfo).port}`;
  await send(
    'Hostile mail',
    `<p id="seen">seen</p><img src="${origin}/pixel.png"><script>document.getElementById("seen").textContent = "scripted"</script><a href="${origin}/away">away</a>`,
  );
  const page = await open(`/mails/${inbox.mails()[0]?.id}`);
  const frame = page.frameLocator('iframe');
  expect(await frame.locator('#seen').innerText()).toBe('seen');
  const [opened] = await Promise.all([page.waitForEvent('popup'), frame.getByText('away').click()]);
  await opened.getByText('outside').waitFor();
  expect(asked.filter((url) => url !== '/favicon.ico')).toEqual(['/away']);
  await opened.close();
  await page.close();
  outside.closeAllConnections();
  outside.close();
});

test.each([
  ['light', 1_000],
  ['dark', 320],
] as const)(
  'axe finds no violation on list and mail in the %s scheme at %i px, and nothing scrolls sideways',
  async (colorScheme, width) => {
    await send(`A subject ${'without-an-end'.repeat(20)}`, '<p>8.00</p>');
    for (const path of ['/', `/mails/${inbox.mails()[0]?.id}`, '/mails/1']) {
      const page = await open(path, { colorScheme, width });
      await page.locator('details').evaluateAll((all) => all.forEach((one) => one.setAttribute('open', '')));
      expect([path, await violations(page), await sidewaysPx(page)]).toEqual([path, [], 0]);
      await page.close();
    }
  },
);
