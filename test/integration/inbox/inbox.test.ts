// The inbox over real sockets: nodemailer and a bare dialogue as senders, its API and pages as readers.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport, type SendMailOptions } from 'nodemailer';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { InboxFault } from '../../../emulator/services/inbox/faults.ts';
import { startInbox, type Inbox, type InboxSettings } from '../../../emulator/services/inbox/inbox.ts';
import { mailBytesMax } from '../../../emulator/services/inbox/mail-store.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { dialogue } from './dialogue.ts';

const login = { username: 'baton', password: 'pass word of the test' };
const token = 'token-of-the-test';
const logger = createLogger({ process: 'smtp', write: () => undefined });
let base: string;
let certificates: TestCertificates;
let settings: InboxSettings;
let inbox: Inbox;
let faults: InboxFault[];

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'baton-inbox-'));
  certificates = await makeCertificates(base);
  await writeFile(join(base, 'credentials.json'), JSON.stringify(login));
  await writeFile(join(base, 'token'), `${token}\n`);
});
afterAll(() => rm(base, { recursive: true, force: true }));
beforeEach(async () => {
  faults = [];
  settings = {
    host: '127.0.0.1',
    smtpPort: 0,
    pagePort: 0,
    certFile: certificates.certFile,
    keyFile: certificates.keyFile,
    credentialsFile: join(base, 'credentials.json'),
    tokenFile: join(base, 'token'),
    folder: await mkdtemp(join(base, 'mails-')),
    faults,
  };
  inbox = await startInbox(settings, logger);
});
afterEach(() => inbox.close());

async function send(mail: SendMailOptions = {}, auth = { user: login.username, pass: login.password }) {
  const transport = createTransport({
    host: '127.0.0.1',
    port: inbox.smtpPort,
    requireTLS: true,
    tls: { ca: certificates.ca, minVersion: 'TLSv1.2' },
    auth,
    socketTimeout: 5_000,
  });
  try {
    return await transport.sendMail({
      from: 'baton@example.org',
      to: 'ann@example.org',
      subject: 'Cheaper: Größe 7 <b>',
      text: 'It costs 8 now.',
      html: '<p>It costs <b>8</b> now.</p><img src="http://tracker.example/pixel.png">',
      ...mail,
    });
  } finally {
    transport.close();
  }
}
async function get(
  path: string,
  headers: Record<string, string> = {},
  method: 'GET' | 'DELETE' | 'PUT' = 'GET',
  body?: string,
) {
  const answer = await request(inbox.pageUrl + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}
const readJson = async (path: string) => JSON.parse((await get(path)).text) as Record<string, unknown>;

test('a mail sent over STARTTLS is listed, and read with its text, HTML, headers and raw bytes', async () => {
  await send({ headers: { 'X-Kind': 'price-drop' } });
  const [mail] = inbox.mails();
  expect(mail).toMatchObject({
    from: 'baton@example.org',
    to: ['ann@example.org'],
    subject: 'Cheaper: Größe 7 <b>',
  });
  expect(await readJson('/api/mails')).toMatchObject({ mails: [mail] });
  const read = await readJson(`/api/mails/${mail?.id}`);
  expect(read).toMatchObject({
    text: expect.stringContaining('It costs 8 now.'),
    html: expect.stringContaining('<b>8</b>'),
    headers: expect.arrayContaining([{ name: 'X-Kind', value: 'price-drop' }]),
  });
  const raw = await get(`/api/mails/${mail?.id}/raw`);
  expect(raw.headers['content-type']).toMatch(/^text\/plain/);
  expect(raw.text).toContain('X-Kind: price-drop\r\n');
});

test('nothing is taken before STARTTLS and AUTH, and no login is even looked at in plain text', async () => {
  const plain = Buffer.from(`\0${login.username}\0${login.password}`).toString('base64');
  const answers = await dialogue(inbox.smtpPort, [
    'EHLO test',
    'MAIL FROM:<baton@example.org>',
    `AUTH PLAIN ${plain}`,
    'DATA',
  ]);
  expect(answers.map((line) => line.slice(0, 3))).toEqual(['220', '250', '530', '538', '530']);
  expect(inbox.mails()).toEqual([]);
});

test('a wrong password is refused for good, over TLS', async () => {
  await expect(send({}, { user: login.username, pass: 'wrong' })).rejects.toMatchObject({
    code: 'EAUTH',
    responseCode: 535,
  });
});

test('mails are there again after a restart, and half-written ones are gone', async () => {
  await send({ subject: 'one' });
  await send({ subject: 'two' });
  const before = inbox.mails();
  await inbox.close();
  await writeFile(join(settings.folder, '5.eml'), 'a mail whose summary was never written');
  await writeFile(join(settings.folder, '6.json.part'), '{');
  inbox = await startInbox(settings, logger);
  expect(inbox.mails()).toEqual(before);
  expect((await readdir(settings.folder)).sort()).toEqual(
    before.flatMap(({ id }) => [`${id}.eml`, `${id}.json`]).sort(),
  );
  await send({ subject: 'three' });
  expect(inbox.mails().map(({ subject }) => subject)).toEqual(['three', 'two', 'one']);
});

test('a mail over 10 MB is refused for good, and the next one is taken', async () => {
  await expect(send({ text: 'x'.repeat(mailBytesMax + 1), html: '' })).rejects.toMatchObject({
    responseCode: 552,
  });
  await send();
  expect(inbox.mails()).toHaveLength(1);
});

test.each([
  [{ kind: 'refuse', times: 1 }, 421],
  [{ kind: 'reject-recipient', recipient: 'ann@', times: 1 }, 550],
  [{ kind: 'greylist', times: 1 }, 451],
] as const)('fault %o answers %i once, and then the mail goes through', async (fault, responseCode) => {
  faults.push({ ...fault });
  await expect(send()).rejects.toMatchObject({ responseCode });
  expect(inbox.mails()).toEqual([]);
  await send();
  expect(inbox.mails()).toHaveLength(1);
  expect(faults).toEqual([]);
});
test('a fault for one recipient leaves others alone', async () => {
  faults.push({ kind: 'reject-recipient', recipient: 'bob@' });
  const sent = await send({ to: ['ann@example.org', 'bob@example.org'] });
  expect(sent).toMatchObject({ accepted: ['ann@example.org'], rejected: ['bob@example.org'] });
  expect(inbox.mails()[0]?.to).toEqual(['ann@example.org']);
});
test.each([true, false])(
  'fault drop-after-data cuts the connection without an answer, the mail kept: %s',
  async (kept) => {
    faults.push({ kind: 'drop-after-data', kept, times: 1 });
    const failure: unknown = await send().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(failure).not.toHaveProperty('responseCode', expect.any(Number));
    expect(inbox.mails()).toHaveLength(kept ? 1 : 0);
  },
);
test('fault slow delays the answer, and closing the inbox does not wait for it', async () => {
  faults.push({ kind: 'slow', delayMs: 60_000, times: 1 });
  const sending = send().catch((error: unknown) => error);
  await vi.waitUntil(() => inbox.mails().length === 1, { timeout: 10_000 });
  const closedAfter = performance.now();
  await inbox.close();
  expect(performance.now() - closedAfter).toBeLessThan(10_000);
  expect(await sending).toBeInstanceOf(Error);
  inbox = await startInbox(settings, logger);
});

test('changes want the token: without it nothing is deleted and no fault is ordered', async () => {
  await send();
  const order = JSON.stringify([{ kind: 'greylist', times: 2 }]);
  const wrong = { authorization: 'Bearer wrong' };
  expect(await get('/api/mails', {}, 'DELETE')).toMatchObject({ status: 401 });
  expect(await get('/api/faults', wrong, 'PUT', order)).toMatchObject({ status: 401 });
  expect(inbox.mails()).toHaveLength(1);
  const right = { authorization: `Bearer ${token}` };
  expect(await get('/api/faults', right, 'PUT', order)).toMatchObject({ status: 200 });
  expect(faults).toEqual([{ kind: 'greylist', times: 2 }]);
  expect(await get('/api/faults', right, 'PUT', '[{"kind":"explode"}]')).toMatchObject({ status: 400 });
  expect(await get('/api/mails', right, 'DELETE')).toMatchObject({ status: 204 });
  expect(inbox.mails()).toEqual([]);
  expect(await readdir(settings.folder)).toEqual([]);
});
test('a rebound name and a page of another site read nothing', async () => {
  await send();
  expect(await get('/api/mails', { host: 'mails.evil.example' })).toMatchObject({ status: 403 });
  expect(await get('/api/mails', { origin: 'https://evil.example' })).toMatchObject({ status: 403 });
});
test('what a mail brings is escaped on our page, and its HTML comes sandboxed, loading nothing', async () => {
  await send({ subject: '<script>alert(1)</script>', html: '<script>alert(2)</script>' });
  const id = inbox.mails()[0]?.id;
  const list = await get('/');
  expect(list.text).not.toContain('<script>alert');
  expect(list.headers['content-security-policy']).toContain("default-src 'none'");
  const shown = await get(`/mails/${id}`);
  expect(shown.text).not.toContain('<script>alert');
  expect(shown.text).toMatch(/<iframe [^>]*sandbox="allow-popups allow-popups-to-escape-sandbox"/);
  const framed = await get(`/mails/${id}/html`);
  expect(framed.headers['content-security-policy']).toMatch(
    /^sandbox (?!.*allow-scripts).*default-src 'none'/,
  );
});
