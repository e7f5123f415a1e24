// Our FTPS server against clients written by others: basic-ftp, curl and lftp.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from 'basic-ftp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFtpServer, type FtpServer } from '../../../emulator/services/ftp-server/ftp-server.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';

const run = promisify(execFile);
const has = (program: string) => spawnSync(program, ['--version']).error === undefined;
const note = (program: string) => (has(program) ? '' : ` (NOT CHECKED: ${program} is not installed)`);
const user = { username: 'baton', password: 'secret' };
let folder: string;
let root: string;
let certificates: TestCertificates;
let server: FtpServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-ftpd-'));
  root = join(folder, 'root');
  await mkdir(join(root, 'in'), { recursive: true });
  certificates = await makeCertificates(folder);
  server = await startFtpServer({
    host: '127.0.0.1',
    port: 0,
    root,
    tls: certificates,
    users: [user],
    fileBytesMax: 2_000_000,
  });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function login(port = server.port, maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'): Promise<Client> {
  const client = new Client(3_000);
  await client.access({
    host: '127.0.0.1',
    port,
    user: user.username,
    password: user.password,
    secure: true,
    secureOptions: { ca: certificates.ca, maxVersion },
  });
  return client;
}

test('login: without TLS it is refused with 530, and so is a wrong password over TLS', async () => {
  const socket = connect(server.port, '127.0.0.1');
  socket.write('USER baton\r\n');
  let answer = '';
  for await (const chunk of socket) {
    answer += String(chunk);
    if (answer.includes('530')) break;
  }
  expect(answer).toContain('530 AUTH TLS first');
  const client = new Client(3_000);
  await expect(
    client.access({
      host: '127.0.0.1',
      port: server.port,
      user: 'baton',
      password: 'wrong',
      secure: true,
      secureOptions: { ca: certificates.ca },
    }),
  ).rejects.toThrow('530');
  client.close();
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'TLS session reuse: with %s basic-ftp resumes on every data connection where the server demands it',
  async (version) => {
    const strict = await startFtpServer({
      host: '127.0.0.1',
      port: 0,
      root,
      tls: certificates,
      users: [user],
      requireSessionReuse: true,
    });
    const client = await login(strict.port, version);
    for (const name of ['a', 'b', 'c']) await client.uploadFrom(Readable.from(['x']), `/in/${name}`);
    expect((await client.list('/in')).map((file) => file.name)).toEqual(['a', 'b', 'c']);
    client.close();
    await strict.close();
  },
);

test('files: upload, append, rename, MFMT, HASH, MLST and delete do what their RFCs say', async () => {
  const client = await login();
  await client.uploadFrom(Readable.from(['hello ']), '/in/größe 1.txt');
  await client.appendFrom(Readable.from(['world']), '/in/größe 1.txt');
  await client.rename('/in/größe 1.txt', '/in/b.txt');
  expect(await readFile(join(root, 'in', 'b.txt'), 'utf8')).toBe('hello world');
  await client.send('MFMT 20200102030405 /in/b.txt');
  expect((await client.lastMod('/in/b.txt')).toISOString()).toBe('2020-01-02T03:04:05.000Z');
  const sha256 = createHash('sha256').update('hello world').digest('hex');
  expect((await client.send('HASH /in/b.txt')).message).toContain(sha256);
  expect((await client.send('MLST /in/b.txt')).message).toContain('size=11;');
  await client.remove('/in/b.txt');
  expect(await readdir(join(root, 'in'))).toEqual([]);
  client.close();
});

test('root: .. ends at the root and symbolic links are neither followed nor listed', async () => {
  await writeFile(join(folder, 'outside.txt'), 'secret');
  await symlink(folder, join(root, 'in', 'link'));
  const client = await login();
  await expect(client.size('/in/link/outside.txt')).rejects.toThrow('550');
  await expect(client.size('/../outside.txt')).rejects.toThrow('550');
  await expect(client.uploadFrom(Readable.from(['x']), '/in/link/new')).rejects.toThrow('550');
  expect(await client.list('/in')).toEqual([]);
  client.close();
});

test('limits: a file over the cap is refused and leaves nothing behind', async () => {
  const client = await login();
  await expect(client.uploadFrom(Readable.from([Buffer.alloc(3_000_000)]), '/in/a')).rejects.toThrow(
    /552|426|EPIPE|ECONNRESET|closed/i,
  );
  await expect.poll(() => readdir(join(root, 'in'))).toEqual([]);
  client.close();
});

test('uploads: of a client that dies or gives up in the middle nothing is left', async () => {
  const program = fileURLToPath(new URL('../../support/stalled-upload.ts', import.meta.url));
  const dying = spawn(
    process.execPath,
    [program, String(server.port), user.username, user.password, certificates.caFile, 'in/dying.csv'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const half = () => readdir(join(root, 'in')).then((names) => names.length);
  await expect.poll(half, { timeout: 15_000 }).toBe(1);
  dying.kill('SIGKILL');
  await expect.poll(() => readdir(join(root, 'in')), { timeout: 10_000 }).toEqual([]);

  const client = await login();
  const body = new PassThrough();
  body.write('half');
  const upload = client.uploadFrom(body, 'in/given-up.csv');
  await expect.poll(half, { timeout: 10_000 }).toBe(1);
  client.ftp.dataSocket?.destroy();
  client.ftp.socket.write('ABOR\r\n');
  await expect(upload).rejects.toThrow('Premature close');
  client.close();
  await expect.poll(() => readdir(join(root, 'in')), { timeout: 10_000 }).toEqual([]);
});

test(`curl uploads, lists and downloads over required TLS${note('curl')}`, async () => {
  if (!has('curl')) return;
  const base = `ftp://127.0.0.1:${server.port}`;
  const file = join(folder, 'local.txt');
  await writeFile(file, 'from curl');
  const curl = (...rest: string[]) =>
    run('curl', [
      '-sS',
      '--max-time',
      '10',
      '--ssl-reqd',
      '--cacert',
      certificates.caFile,
      '-u',
      'baton:secret',
      ...rest,
    ]);
  await curl('-T', file, `${base}/in/shop_curl.txt`);
  expect((await curl(`${base}/in/shop_curl.txt`)).stdout).toBe('from curl');
  expect((await curl(`${base}/in/`)).stdout).toContain('shop_curl.txt');
});

test(`lftp mirrors a folder up and reads it back${note('lftp')}`, async () => {
  if (!has('lftp')) return;
  const local = join(folder, 'local');
  await mkdir(local);
  await writeFile(join(local, 'a b.txt'), 'one');
  await writeFile(join(local, 'c.txt'), 'two');
  const { stdout } = await run(
    'lftp',
    [
      '-c',
      `set ssl:ca-file ${certificates.caFile}; set ftp:ssl-force true; set ftp:ssl-protect-data true; set net:max-retries 1; set net:timeout 5; open -u baton,secret -p ${server.port} 127.0.0.1; mirror -R ${local} /in/up; cls /in/up; cat /in/up/c.txt`,
    ],
    { timeout: 20_000 },
  );
  expect(stdout).toContain('two');
  expect(await readFile(join(root, 'in', 'up', 'a b.txt'), 'utf8')).toBe('one');
});
