// Fetching many small files and a large one over FTPS, as ftp-sync does, beside lftp: the same server, the same number of
// connections. The server is a process of its own, so that neither client shares a thread with it.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { serviceSettingsVariable, type ReadyLine } from '../emulator/services/service-process.ts';
import { FtpClient } from '../functions/ftp-sync/ftp-client.ts';
import { makeCertificates, type TestCertificates } from '../test/support/certificates.ts';
import { inParallel } from '../runtime/in-parallel.ts';
import { median, round, type Bench, type Result } from './bench.ts';

const run = promisify(execFile);
const smallFiles = { count: 200, bytes: 4_096 };
const largeBytes = 100 * 1024 * 1024;
const connections = 4; // What ftp-sync opens.
const login = { username: 'bench', password: 'bench-password' };
const lftpWithinMs = 120_000;
const readyWithinMs = 30_000;
const goal = 1; // Not slower than lftp.

interface Server {
  readonly port: number;
  readonly certificates: TestCertificates;
}

export const bench: Bench = async ({ rounds }) => {
  const folder = await mkdtemp(join(tmpdir(), 'baton-bench-ftp-'));
  const certificates = await makeCertificates(folder);
  await fill(join(folder, 'root'));
  const child = await startServer(folder, certificates);
  try {
    const server = { port: await portOf(child), certificates };
    const took = {
      small: [] as number[],
      large: [] as number[],
      lftpSmall: [] as number[],
      lftpLarge: [] as number[],
    };
    const withLftp = await hasLftp();
    for (let turn = 0; turn < rounds; turn++) {
      const to = join(folder, `fetched-${turn}`);
      await mkdir(to);
      took.small.push(await seconds(() => fetchOurs(server, 'small', to)));
      took.large.push(await seconds(() => fetchOurs(server, 'large', to)));
      if (withLftp) {
        took.lftpSmall.push(await seconds(() => fetchWithLftp(server, 'small', join(to, 'lftp-small'))));
        took.lftpLarge.push(await seconds(() => fetchWithLftp(server, 'large', join(to, 'lftp-large'))));
      }
      await rm(to, { recursive: true });
    }
    const per = (work: number, times: readonly number[]): number | undefined =>
      times.length === 0 ? undefined : work / median(times);
    return [
      compared(
        `${smallFiles.count} files of ${smallFiles.bytes / 1_024} KB, ${connections} connections`,
        'files/s',
        {
          ours: smallFiles.count / median(took.small),
          lftp: per(smallFiles.count, took.lftpSmall),
        },
      ),
      compared(`a file of ${largeBytes / 1024 ** 2} MB`, 'MB/s', {
        ours: largeBytes / 1e6 / median(took.large),
        lftp: per(largeBytes / 1e6, took.lftpLarge),
      }),
    ];
  } finally {
    child.kill('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  }
};

async function fill(root: string): Promise<void> {
  await mkdir(join(root, 'small'), { recursive: true });
  await mkdir(join(root, 'large'));
  for (let file = 0; file < smallFiles.count; file++)
    await writeFile(join(root, 'small', `${file}.csv`), Buffer.alloc(smallFiles.bytes, 'sku,title,price\n'));
  await writeFile(join(root, 'large', 'all.csv'), Buffer.alloc(largeBytes, 'sku,title,price\n'));
}

async function startServer(folder: string, { certFile, keyFile }: TestCertificates): Promise<ChildProcess> {
  const credentials = join(folder, 'credentials.json');
  await writeFile(credentials, JSON.stringify(login));
  const script = fileURLToPath(new URL('../emulator/services/ftp-server/main.ts', import.meta.url));
  const settings = {
    port: 0,
    root: join(folder, 'root'),
    tls: { certFile, keyFile },
    credentialsUri: pathToFileURL(credentials).href,
  };
  return spawn(process.execPath, [script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], [serviceSettingsVariable]: JSON.stringify(settings) },
  });
}

async function portOf({ stdout }: ChildProcess): Promise<number> {
  if (!stdout) throw new Error('the FTP server has no output');
  const signal = AbortSignal.timeout(readyWithinMs);
  const [line] = (await once(createInterface({ input: stdout }), 'line', { signal })) as [string];
  const { address } = JSON.parse(line) as ReadyLine;
  return Number(address.split(':').at(-1));
}

async function fetchOurs(
  { port, certificates }: Server,
  folder: 'small' | 'large',
  to: string,
): Promise<void> {
  const ftp = new FtpClient({
    host: '127.0.0.1',
    port,
    credentials: () => Promise.resolve(login),
    ca: () => Promise.resolve(certificates.ca),
    root: '/',
  });
  try {
    await inParallel(await ftp.list(folder), connections, (name) =>
      ftp.download(`${folder}/${name}`, createWriteStream(join(to, name))),
    );
  } finally {
    ftp.close();
  }
}

async function hasLftp(): Promise<boolean> {
  return await run('lftp', ['--version']).then(
    () => true,
    () => false,
  );
}

async function fetchWithLftp(
  { port, certificates }: Server,
  folder: 'small' | 'large',
  to: string,
): Promise<void> {
  const commands = [
    `set ssl:ca-file ${certificates.caFile}`,
    'set ftp:ssl-force true',
    'set ftp:ssl-protect-data true',
    'set xfer:log false',
    `open -u ${login.username},${login.password} -p ${port} 127.0.0.1`,
    `mirror --parallel=${connections} /${folder} ${to}`,
  ];
  await run('lftp', ['--norc', '-c', commands.join('; ')], { timeout: lftpWithinMs });
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1_000;
}

function compared(
  what: string,
  unit: string,
  { ours, lftp }: { ours: number; lftp: number | undefined },
): Result {
  const ratio = lftp === undefined ? null : ours / lftp;
  return {
    what: `${what}, beside lftp${ratio === null ? ' (not installed: apt-get install lftp)' : ''}`,
    unit,
    ours: round(ours, 1),
    peer: lftp === undefined ? null : round(lftp, 1),
    ratio: ratio === null ? null : round(ratio, 2),
    goal: `>= ${goal}`,
    met: ratio === null ? null : ratio >= goal,
  };
}
