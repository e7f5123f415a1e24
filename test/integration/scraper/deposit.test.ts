// The crawl file's way onto an FTPS server: whole under its final name or not there at all, never in plain text.
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// @peculiar/x509 is built on decorators and refuses to load without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startFtpServer, type FtpServer } from '../../../emulator/services/ftp-server/ftp-server.ts';
import type { FtpAddress } from '../../../functions/ftp-address.ts';
import { depositFile } from '../../../functions/scraper/deposit.ts';

let folder: string;
let server: FtpServer;
let target: FtpAddress;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-deposit-'));
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
    ],
  });
  const pem = certificate.toString('pem');
  const key = x509.PemConverter.encode(
    await crypto.subtle.exportKey('pkcs8', keys.privateKey),
    'PRIVATE KEY',
  );
  const tls = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
  await writeFile(tls.certFile, pem);
  await writeFile(tls.keyFile, key);
  await mkdir(join(folder, 'root', 'in'), { recursive: true });
  server = await startFtpServer({
    host: '127.0.0.1',
    port: 0,
    root: join(folder, 'root'),
    tls,
    users: [{ username: 'scraper', password: 'secret' }],
  });
  target = {
    host: '127.0.0.1',
    port: server.port,
    root: '/',
    credentials: () => Promise.resolve({ username: 'scraper', password: 'secret' }),
    ca: () => Promise.resolve(pem),
  };
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const soon = () => performance.now() + 30_000;
const inside = () => readdir(join(folder, 'root', 'in'));

it('deposit: the file arrives whole under its name, no part file is left, a second time replaces it', async () => {
  for (const text of ['{"sku":"1"}\n'.repeat(50_000), '{"sku":"2"}\n']) {
    await depositFile(target, { name: 'shop_crawl-1.ndjson', bytes: Buffer.from(text), deadline: soon() });
    expect(await inside()).toEqual(['shop_crawl-1.ndjson']);
    expect(await readFile(join(folder, 'root', 'in', 'shop_crawl-1.ndjson'), 'utf8')).toBe(text);
  }
});

it('deposit: a certificate of another authority is refused, and nothing is uploaded', async () => {
  const before = await inside();
  await expect(
    depositFile(
      { ...target, ca: () => Promise.resolve(undefined) },
      { name: 'x_crawl-2.ndjson', bytes: Buffer.from('x'), deadline: soon() },
    ),
  ).rejects.toThrow(/depositing x_crawl-2\.ndjson at 127\.0\.0\.1:\d+ failed 3 times/);
  expect(await inside()).toEqual(before);
});

it('deposit: at a server that says nothing it has failed by its deadline', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const startedAt = performance.now();
  await expect(
    depositFile(
      { ...target, port },
      { name: 'x_crawl-3.ndjson', bytes: Buffer.from('x'), deadline: startedAt + 700 },
    ),
  ).rejects.toThrow(/failed 1 times/);
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  for (const socket of sockets) socket.destroy();
  silent.close();
});
