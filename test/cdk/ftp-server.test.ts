// The image of the FTP server, started as ECS starts it: its entrypoint and its configuration, with the variables and
// settings of the template, on the vsftpd that Debian packages for it. Only the address it listens on is another one.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, utimesSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Client } from 'basic-ftp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { FtpClient } from '../../functions/ftp-sync/ftp-client.ts';
import { depositFile } from '../../functions/scraper/deposit.ts';
import { makeCertificates, type TestCertificates } from '../support/certificates.ts';
import { eventually } from '../support/running-system.ts';
import { ofType, stackOf, synthesized } from './synthesize.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const configuration = file('../../cdk/ftp-server/vsftpd.conf');
const pair = z.object({ Name: z.string(), Value: z.string() });
const taskSchema = z.object({
  ContainerDefinitions: z.tuple([
    z.object({
      Environment: z.array(pair),
      Secrets: z.array(z.object({ Name: z.string() })),
      StopTimeout: z.number(),
      HealthCheck: z.object({ Command: z.tuple([z.literal('CMD')]).rest(z.string()) }),
      LinuxParameters: z.object({ InitProcessEnabled: z.boolean() }),
    }),
  ]),
});
const [task] = ofType(stackOf(synthesized('dev'), 'nodes').resources, 'AWS::ECS::TaskDefinition').filter(
  ({ path }) => path === 'Ftp/Task',
);
const [container] = taskSchema.parse(task?.Properties).ContainerDefinitions;

/** As Debian's image has it, whatever a user of this machine has. */
const imagePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const isolated = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
const missing = [
  ...(existsSync('/usr/sbin/vsftpd') ? [] : ['vsftpd is not installed here']),
  ...(spawnSync('unshare', [...isolated, 'true']).status === 0 ? [] : ['namespaces need root']),
].join(', ');

test('ftp server: the log is the output of the container and no file or socket of a session', () => {
  const settings = readFileSync(configuration, 'utf8').split('\n');
  expect(settings.filter((line) => /^(?:\w*_log_file|dual_log_enable)=/.test(line))).toEqual([
    'vsftpd_log_file=/proc/1/fd/1',
  ]);
});

describe.skipIf(missing !== '')(`ftp server${missing === '' ? '' : ` (skipped: ${missing})`}`, () => {
  const credentials = { username: 'baton', password: 'a password of a test' };
  let folder: string;
  let certificates: TestCertificates;
  let server: ChildProcess;
  let port: number;
  let log = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'baton-vsftpd-'));
    certificates = await makeCertificates(folder);
    port = await freePort();
    const values: Record<string, string | undefined> = {
      FTP_USERNAME: credentials.username,
      FTP_PASSWORD: credentials.password,
      TLS_CERT: certificates.cert,
      TLS_KEY: certificates.key,
    };
    const started = ['sh', file('../../cdk/ftp-server/entrypoint.sh')];
    const contained = ['sh', file('like-a-container.sh'), configuration, String(port), ...started];
    // The output is a pipe, as a container's is; what Node calls one is a socket, which nobody can open again.
    const throughPipe = ['-c', 'exec "$@" > >(cat) 2>&1', 'bash'];
    server = spawn('bash', [...throughPipe, 'unshare', ...isolated, ...contained], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: imagePath,
        INIT: String(container.LinuxParameters.InitProcessEnabled),
        ...Object.fromEntries(container.Environment.map(({ Name, Value }) => [Name, Value])),
        ...Object.fromEntries(container.Secrets.map(({ Name }) => [Name, values[Name]])),
      },
    });
    for (const stream of [server.stdout, server.stderr])
      stream?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    await eventually(
      'a greeting',
      async () => ((await isHealthy()) ? 'greeted' : log),
      (seen) => seen === 'greeted',
      30_000,
    );
  });
  afterAll(async () => {
    server.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** The health check of the template, in the folders of the container, asked where this server listens. */
  const isHealthy = (at = port): Promise<boolean> =>
    new Promise((resolve) => {
      const [, ...command] = container.HealthCheck.Command;
      spawn(
        'nsenter',
        [
          '--target',
          String(server.pid),
          '--mount',
          '--',
          ...command.map((arg) => arg.replace('127.0.0.1/21', `127.0.0.1/${at}`)),
        ],
        { stdio: 'ignore' },
      )
        .once('error', () => resolve(false))
        .once('exit', (code) => resolve(code === 0));
    });
  const target = () => ({
    host: '127.0.0.1',
    port,
    credentials: () => Promise.resolve(credentials),
    ca: () => Promise.resolve(certificates.ca),
    root: '/',
  });

  test('ftp server: the scraper drops a file over TLS, ftp-sync lists, reads and moves it', async () => {
    await depositFile(target(), {
      name: 'demo_first.csv',
      bytes: Buffer.from('sku\n1\n'),
      deadline: performance.now() + 30_000,
    });
    const ftp = new FtpClient(target());
    try {
      expect(await ftp.list('in')).toEqual(['demo_first.csv']);
      const look = await ftp.look('in/demo_first.csv');
      expect(look?.size).toBe(6);
      // Of UTC: a file that was just written must not look hours old.
      expect(Math.abs(Date.now() - Number(look?.modifiedAt))).toBeLessThan(60_000);
      expect(await ftp.move({ from: 'in/demo_first.csv', to: 'done/demo_first.csv' })).toBe(true);
      expect(await ftp.write('out/export.csv', Readable.from([Buffer.from('sku\n')]))).toBe(4);
      expect([await ftp.list('in'), await ftp.list('done')]).toEqual([[], ['demo_first.csv']]);
    } finally {
      ftp.close();
    }
  });

  test('ftp server: of an upload whose client died nothing is left', async () => {
    const { username, password } = credentials;
    const login = [String(port), username, password, certificates.caFile];
    const dying = spawn(
      process.execPath,
      [file('../support/stalled-upload.ts'), ...login, 'in/acme_dying.csv'],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const ftp = new FtpClient(target());
    try {
      await eventually(
        'half a file',
        () => ftp.look('in/acme_dying.csv').then((look) => look?.size ?? 0),
        (size) => size > 0,
      );
      dying.kill('SIGKILL');
      await eventually(
        'its end',
        () => ftp.list('in'),
        (names) => names.length === 0,
      );
    } finally {
      ftp.close();
    }
  });

  test('ftp server: what happened stands in the output of the container', async () => {
    await eventually(
      'a line of the upload',
      () => Promise.resolve(log),
      (text) => /OK UPLOAD: .*"\/in\/\.demo_first\.csv\.part", 6 bytes/.test(text),
    );
    expect(log).toContain('OK LOGIN');
    expect(log).not.toContain(credentials.password);
  });

  test('ftp server: without TLS nobody logs in, and nobody leaves the folder', async () => {
    const plain = new Client(5_000);
    await expect(
      plain.access({ host: '127.0.0.1', port, user: 'baton', password: credentials.password }),
    ).rejects.toThrow(/530/);
    plain.close();
    const ftp = new FtpClient(target());
    try {
      expect(await ftp.look('../../etc/passwd')).toBeUndefined();
    } finally {
      ftp.close();
    }
  });

  test('ftp server: it goes on after sessions that broke off, and its check sees whether it answers', async () => {
    for (let session = 0; session < 5; session += 1) {
      const client = new Client(5_000);
      await client.access({
        host: '127.0.0.1',
        port,
        user: credentials.username,
        password: credentials.password,
        secure: true,
        secureOptions: { ca: certificates.ca },
      });
      client.ftp.socket.destroy();
    }
    expect(await isHealthy()).toBe(true);
    expect(server.exitCode).toBeNull();
    expect(await isHealthy(await freePort())).toBe(false);
  });

  test('ftp server: its check fails long before the certificate that it started with can end, and after the next is there', async () => {
    const startedWith = `/proc/${server.pid}/root/run/vsftpd.pem`;
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
    // The secret keeper makes the next one when a certificate has 30 days left (test/unit/functions/secret-keeper.test.ts).
    utimesSync(startedWith, daysAgo(19), daysAgo(19));
    expect(await isHealthy()).toBe(true);
    utimesSync(startedWith, daysAgo(29), daysAgo(29));
    expect(await isHealthy()).toBe(false);
    utimesSync(startedWith, new Date(), new Date());
    expect(await isHealthy()).toBe(true);
  });

  test('ftp server: SIGTERM ends it well within the time that ECS gives it', async () => {
    const ended = once(server, 'exit');
    const began = performance.now();
    const first = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')
      .split(' ')
      .find((pid) => pid !== '' && /^NSpid:\t\d+\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
    // As ECS does it: to process 1 of the container.
    process.kill(Number(first), 'SIGTERM');
    await ended;
    expect(performance.now() - began).toBeLessThan(Math.min(container.StopTimeout * 1_000, 5_000));
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
