// `baton doctor`: what this machine has and lacks for running Baton, each with what to do about it. Changes nothing.
import type { Command } from 'commander';
import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
} from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describeError } from '../../runtime/failure.ts';
import { assertOurs, layoutOf, readRecord, type InstanceRecord } from '../instance/instance.ts';
import { isFree, usualPorts } from '../instance/ports.ts';
import { isAlive } from '../instance/process-table.ts';
import { findBinaries } from '../services/postgres/binaries.ts';
import { findRabbitmq, rabbitmqIsMissing } from '../services/rabbitmq/rabbitmq.ts';
import { dataOption, jsonOption } from './options.ts';
import { exitCodes, type Finish } from './exit-codes.ts';

interface Finding {
  readonly what: string;
  readonly state: 'good' | 'note' | 'bad';
  readonly detail: string;
}

const freeBytesMin = 1024 ** 3;
const packageFile = new URL('../../package.json', import.meta.url);

export function addDoctor(program: Command, finish: Finish): void {
  program
    .command('doctor')
    .description('what this machine has and lacks, and what to do about it')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options: { data: string; json: boolean }) => finish(await doctor(options)));
}

async function doctor(options: { data: string; json: boolean }): Promise<number> {
  const findings = [
    nodeVersion(),
    user(),
    await disk(options.data),
    database(),
    broker(),
    browser(),
    ...(await dataFolder(options.data)),
    ...(await ports(options.data)),
  ];
  if (options.json) process.stdout.write(`${JSON.stringify({ findings })}\n`);
  else
    for (const { what, state, detail } of findings)
      process.stdout.write(
        `${{ good: 'ok  ', note: 'note', bad: 'BAD ' }[state]}  ${what.padEnd(10)} ${detail}\n`,
      );
  return findings.some(({ state }) => state === 'bad') ? exitCodes.failed : exitCodes.ok;
}

function nodeVersion(): Finding {
  const { engines } = JSON.parse(readFileSync(packageFile, 'utf8')) as { engines: { node: string } };
  const wanted = engines.node.replace('>=', '');
  const good = wanted.localeCompare(process.versions.node, 'en', { numeric: true }) <= 0;
  return {
    what: 'Node',
    state: good ? 'good' : 'bad',
    detail: good
      ? `${process.versions.node} (${process.execPath})`
      : `${process.versions.node} is older than ${wanted}: run through npm, which uses the one of this folder, or install a newer one`,
  };
}

function user(): Finding {
  const root = process.getuid?.() === 0;
  if (!root) return { what: 'User', state: 'good', detail: 'not root' };
  const known = readFileSync('/etc/passwd', 'utf8').includes('\npostgres:');
  return {
    what: 'User',
    state: 'note',
    detail: `root: PostgreSQL refuses to run as root, so it runs as the user postgres${known ? '' : ', which is made at the first start'}`,
  };
}

async function disk(data: string): Promise<Finding> {
  const { root } = layoutOf(data);
  const above = nearestThere(root);
  if (!statSync(above).isDirectory())
    return { what: 'Disk', state: 'bad', detail: `${above} is no folder: name another with --data` };
  try {
    accessSync(above, constants.W_OK);
  } catch {
    return {
      what: 'Disk',
      state: 'bad',
      detail: `nothing can be written in ${above}: name another with --data`,
    };
  }
  const { bavail, bsize } = await statfs(above);
  const free = bavail * bsize;
  return {
    what: 'Disk',
    state: free >= freeBytesMin ? 'good' : 'bad',
    detail: `${(free / 1024 ** 3).toFixed(1)} GiB free in ${root}${free >= freeBytesMin ? '' : ': it needs 1 GiB, name another folder with --data'}`,
  };
}

/** The folder itself, or the one it would be made in. */
function nearestThere(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestThere(dirname(path));
}

function database(): Finding {
  try {
    return { what: 'Database', state: 'good', detail: `PostgreSQL ${findBinaries().version} of npm` };
  } catch (error) {
    return { what: 'Database', state: 'bad', detail: describeError(error) };
  }
}

function broker(): Finding {
  const found = findRabbitmq();
  return found
    ? { what: 'Broker', state: 'good', detail: `RabbitMQ ${found.version}: a private one is started` }
    : {
        what: 'Broker',
        state: 'note',
        detail: `${rabbitmqIsMissing}. The built-in development broker is used`,
      };
}

function browser(): Finding {
  const path = process.env['BATON_CHROMIUM'] ?? '/usr/bin/chromium-headless-shell';
  return existsSync(path)
    ? { what: 'Browser', state: 'good', detail: `${path}: browser tests run` }
    : {
        what: 'Browser',
        state: 'note',
        detail: `${path} is missing: browser tests are skipped (\`apt-get install chromium-headless-shell\`, or BATON_CHROMIUM names one)`,
      };
}

/** What a start would refuse of it. */
async function dataFolder(data: string): Promise<Finding[]> {
  try {
    await assertOurs(layoutOf(data));
    return [];
  } catch (error) {
    return [{ what: 'Data', state: 'bad', detail: describeError(error) }];
  }
}

async function ports(data: string): Promise<Finding[]> {
  let record: InstanceRecord | undefined;
  try {
    record = await readRecord(layoutOf(data));
  } catch (error) {
    const detail = `${describeError(error)}: start it as the folder's owner, or name another with --data`;
    return [{ what: 'Data', state: 'bad', detail }];
  }
  if (record && isAlive(record.launcher))
    return [
      { what: 'Ports', state: 'good', detail: `Baton runs (pid ${record.launcher.pid}) and holds them` },
    ];
  const taken: Finding[] = [];
  for (const [name, port] of portsOfThree())
    if (!(await isFree(port)))
      taken.push({
        what: 'Ports',
        state: 'note',
        detail: `${port} (${name}) is held by ${holderOf(port)}: the next free one is used`,
      });
  return taken.length > 0 ? taken : [{ what: 'Ports', state: 'good', detail: 'the usual ones are free' }];
}

/** Of a system with the usual number of nodes, each of which has its own. */
function portsOfThree(): [name: string, port: number][] {
  const ofNodes = ['public', 'internal', 'udp'];
  return Object.entries(usualPorts).flatMap(([name, port]): [string, number][] =>
    ofNodes.includes(name)
      ? [1, 2, 3].map((nth) => [`${name} of node-${nth}`, port + nth - 1])
      : [[name, port]],
  );
}

/** Who holds a port, from /proc where there is one: the socket's inode, then the process that has it open. */
function holderOf(port: number): string {
  const unknown = 'another process';
  try {
    const hex = port.toString(16).toUpperCase().padStart(4, '0');
    const inodes = ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((table) =>
      readFileSync(`/proc/net/${table}`, 'latin1')
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[1]?.endsWith(`:${hex}`) && fields[9] !== undefined && fields[9] !== '0')
        .map((fields) => `socket:[${fields[9]}]`),
    );
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
      for (const descriptor of list(`/proc/${pid}/fd`))
        if (inodes.includes(link(`/proc/${pid}/fd/${descriptor}`))) return `pid ${pid} (${commandOf(pid)})`;
    return unknown;
  } catch {
    return unknown; // No /proc, or not ours to read.
  }
}
/** As it was typed, cut; a thread's name says nothing of a program of Node. */
function commandOf(pid: string): string {
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  return command.length > 60 ? `${command.slice(0, 59)}…` : command;
}
function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Another user's, or gone.
  }
}
function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
