// A private real RabbitMQ beside whatever else runs on this machine: own folder, ports, node name, cookie, user and
// certificate; AMQPS on loopback alone. Uses the one that is installed and never installs or configures another.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { connect } from 'amqplib';
import { pause } from '../../../runtime/waiting.ts';
import type { Service } from '../service.ts';

export interface RabbitmqOptions {
  readonly folder: string;
  /** AMQPS, Erlang's distribution and its port mapper: all below 32768. */
  readonly port: number;
  readonly distPort: number;
  readonly epmdPort: number;
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  readonly username: string;
  readonly password: string;
}

/** What installs it, and where to look for what it installed. */
export const rabbitmqIsMissing =
  'no RabbitMQ is installed: looked for rabbitmq-server in /usr/lib/rabbitmq/bin, along PATH and where Homebrew links it (`apt-get install rabbitmq-server`, `brew install rabbitmq`)';
function usualFolders(): string[] {
  const along = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  // Debian and RabbitMQ's own packages; then whatever a shell would find; then Homebrew on either processor.
  return ['/usr/lib/rabbitmq/bin', ...along, '/opt/homebrew/sbin', '/usr/local/sbin'];
}

/**
 * The one that is installed. Known by its plugins, and so never Debian's /usr/sbin/rabbitmq-server: that is a wrapper which
 * insists on a user of its own.
 */
export function findRabbitmq(
  folders: readonly string[] = usualFolders(),
): { program: string; version: string } | undefined {
  for (const program of folders.map((folder) => join(folder, 'rabbitmq-server'))) {
    const version = versionOf(program);
    if (version !== undefined) return { program, version };
  }
  return undefined;
}

/** Undefined when it is not there, or no RabbitMQ of its own. */
function versionOf(program: string): string | undefined {
  try {
    return readdirSync(join(dirname(realpathSync(program)), '..', 'plugins'))
      .map((name) => /^rabbit-(?<version>\d[\d.]*\d)/.exec(name)?.groups?.['version'])
      .find((found) => found !== undefined);
  } catch {
    return undefined;
  }
}

/** @throws Error when none is installed. */
export function rabbitmqService(options: RabbitmqOptions): Service {
  const found = findRabbitmq();
  if (!found) throw new Error(rabbitmqIsMissing);
  const { folder } = options;
  const nodeName = nodeNameOf(folder);
  const environment = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: join(folder, 'home'),
    LANG: 'C.UTF-8',
    RABBITMQ_NODENAME: nodeName,
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(folder, 'generated'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_DIST_PORT: String(options.distPort),
    ERL_EPMD_PORT: String(options.epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    // Two schedulers that do not spin: a laptop has other things to do.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}',
  };
  return {
    name: 'broker',
    kind: 'broker',
    address: `amqps://127.0.0.1:${options.port}`,
    about: `RabbitMQ ${found.version}`,
    prepare: () => writeConfiguration(options, nodeName),
    // Its port mapper in the same process group: left to Erlang, it would start in one of its own and outlive a launcher
    // that was killed. Erlang takes some 100 ms to look for it, and starts another when there is none.
    command: {
      file: '/bin/sh',
      args: ['-c', 'epmd & exec "$0"', found.program],
      env: environment,
      cwd: folder,
    },
    ready: (signal) => answers(options, signal),
    startWithinMs: 60_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 3_000, // In order it takes up to eight; what was confirmed is on disk before that.
    clean: () => endPortMapper(environment),
  };
}

const nodeNameFile = 'node-name';

/**
 * From the folder, so that two systems of one machine have two names; and kept in it, since the data belongs to the
 * name and has to be found again when the folder was moved.
 */
function nodeNameOf(folder: string): string {
  const kept = join(folder, nodeNameFile);
  if (existsSync(kept)) return readFileSync(kept, 'utf8').trim();
  return `baton-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}@localhost`;
}

async function writeConfiguration(options: RabbitmqOptions, nodeName: string): Promise<void> {
  const { folder, port, caFile, certFile, keyFile } = options;
  await mkdir(join(folder, 'home'), { recursive: true, mode: 0o700 });
  const cookie = join(folder, 'home', '.erlang.cookie');
  if (!existsSync(cookie)) {
    await writeFile(cookie, randomBytes(20).toString('hex').toUpperCase(), { mode: 0o600 });
    await chmod(cookie, 0o400);
  }
  await writeFile(join(folder, nodeNameFile), `${nodeName}\n`);
  const definitions = join(folder, 'definitions.json');
  // It begins a comment there, and no version of RabbitMQ that we start can quote it.
  if ([caFile, certFile, keyFile, definitions].some((file) => file.includes('#')))
    throw new Error(
      `RabbitMQ's configuration cannot name a file with # in its path: name a data folder without it, or start with --broker development`,
    );
  await writeFile(definitions, JSON.stringify(userDefinitions(options)), { mode: 0o600 });
  await writeFile(
    join(folder, 'rabbitmq.conf'),
    [
      'listeners.tcp = none',
      `listeners.ssl.1 = 127.0.0.1:${port}`,
      `ssl_options.cacertfile = ${caFile}`,
      `ssl_options.certfile = ${certFile}`,
      `ssl_options.keyfile = ${keyFile}`,
      'ssl_options.versions.1 = tlsv1.3',
      'ssl_options.versions.2 = tlsv1.2',
      `load_definitions = ${definitions}`,
      'loopback_users = none',
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  await writeFile(join(folder, 'plugins'), '[].');
}

/**
 * Read at every start, so that a new password is taken up; and with definitions to read, RabbitMQ makes no user guest.
 * The hash is RabbitMQ's own format: SHA-256 of salt and password, behind the salt.
 */
function userDefinitions({ username, password }: RabbitmqOptions): object {
  const salt = randomBytes(4);
  const hash = createHash('sha256').update(salt).update(password).digest();
  const all = '.*';
  return {
    users: [
      {
        name: username,
        password_hash: Buffer.concat([salt, hash]).toString('base64'),
        hashing_algorithm: 'rabbit_password_hashing_sha256',
        tags: '',
      },
    ],
    vhosts: [{ name: '/' }],
    permissions: [{ user: username, vhost: '/', configure: all, write: all, read: all }],
  };
}

/** Up is when a client can log in: the port opens before the users are there. */
async function answers(options: RabbitmqOptions, signal: AbortSignal): Promise<void> {
  const { port, username, password } = options;
  const ca = await readFile(options.caFile, 'utf8');
  for (;;) {
    try {
      const connection = await connect(
        { protocol: 'amqps', hostname: '127.0.0.1', port, username, password },
        { ca: [ca], minVersion: 'TLSv1.2', timeout: loginWithinMs },
      );
      connection.on('error', () => undefined); // It may end again right away; the supervisor sees that.
      await connection.close();
      return;
    } catch (cause) {
      if (signal.aborted) throw new Error(`RabbitMQ does not let its user in at port ${port}`, { cause });
      await pause(100, signal);
    }
  }
}
const loginWithinMs = 2_000;

/** When Erlang has started it by itself after all. It serves nobody else. */
async function endPortMapper(env: Record<string, string>): Promise<void> {
  await new Promise<void>((resolve) => {
    // It refuses while a node is registered, and is gone when nobody answers: both are fine.
    execFile('epmd', ['-kill'], { env, timeout: 2_000 }, () => resolve());
  });
}
