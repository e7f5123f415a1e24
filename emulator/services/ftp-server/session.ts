// One control connection: lines in, one command after the other, answers out. Nothing but AUTH TLS, FEAT and
// QUIT is done before TLS, nothing with files before USER and PASS.
import { lstat, mkdir, rename, rmdir, unlink, utimes } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { basename, posix } from 'node:path';
import { TLSSocket } from 'node:tls';
import { sameSecret } from '../../../runtime/same-secret.ts';
import { listenPassive, type DataConnection, type DataSettings, type Passive } from './data-channel.ts';
import { takeFault, type FtpFault } from './faults.ts';
import { diskPath, virtualPath } from './jail.ts';
import { factsOf, ftpTime, listLine, parseFtpTime, readFolder } from './listing.ts';
import { FtpReply, replyFor } from './reply.ts';
import { hashFile, receiveFile, sendFile } from './transfer.ts';

export interface SessionSettings extends DataSettings {
  readonly root: string;
  readonly users: readonly { readonly username: string; readonly password: string }[];
  readonly faults: FtpFault[];
  readonly fileBytesMax: number;
}

const lineBytesMax = 4_096;
const linesWaitingMax = 16; // A client may pipeline a little.
const loginsFailedMax = 3;

const features = [
  'AUTH TLS',
  'PBSZ',
  'PROT',
  'EPSV',
  'PASV',
  'UTF8',
  'SIZE',
  'MDTM',
  'MFMT',
  'REST STREAM',
  'HASH SHA-256*',
  'TVFS',
  'MLST type*;size*;modify*;unique*;',
];

export function runSession(plain: Socket, settings: SessionSettings): void {
  let control: Socket = plain;
  let secured = false;
  let user: string | undefined;
  let loggedIn = false;
  let loginsFailed = 0;
  let dataProtected = false;
  let cwd = '/';
  let passive: Passive | undefined;
  let transferring: DataConnection | undefined;
  let restart = 0;
  let renameFrom: string | undefined;
  let text = '';
  const lines: string[] = [];
  let working = false;

  const say = (status: number, message: string) => {
    if (!control.destroyed) control.write(`${status} ${message.replace(/\p{Cc}+/gu, ' ')}\r\n`);
  };
  const sayLines = (status: number, first: string, middle: readonly string[], last: string) =>
    control.write(
      `${status}-${first}\r\n${middle.map((line) => ` ${line}\r\n`).join('')}${status} ${last}\r\n`,
    );

  function listenTo(stream: Socket): void {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        lines.push(text.slice(0, end).replace(/\r$/, ''));
        text = text.slice(end + 1);
      }
      if (text.length > lineBytesMax || lines.length > linesWaitingMax) {
        say(500, 'Too much at once');
        stream.destroy();
      } else void work();
    });
    stream.on('error', () => stream.destroy());
    stream.on('close', () => {
      passive?.close();
      transferring?.stream.destroy();
    });
    stream.setTimeout(settings.idleMs, () => {
      if (transferring) return; // Its own idle time bounds it.
      say(421, 'Idle for too long');
      stream.destroy();
    });
  }

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    try {
      for (let line = lines.shift(); line !== undefined && !control.destroyed; line = lines.shift()) {
        try {
          if (Buffer.byteLength(line) > lineBytesMax) throw new FtpReply(500, 'Line is too long');
          await run(line);
        } catch (error) {
          const reply = replyFor(error);
          say(reply.status, reply.message);
        }
      }
    } finally {
      working = false;
    }
  }

  async function run(line: string): Promise<void> {
    const space = line.indexOf(' ');
    const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
    const rest = space < 0 ? '' : line.slice(space + 1);
    const early = beforeLogin[verb];
    if (early) return await early(rest);
    const command = commands[verb];
    if (!command) throw new FtpReply(502, 'Not implemented');
    if (!secured) throw new FtpReply(530, 'AUTH TLS first');
    if (!loggedIn) throw new FtpReply(530, 'Log in with USER and PASS first');
    if (verb !== 'RNTO') renameFrom = verb === 'RNFR' ? renameFrom : undefined;
    await command(rest);
    if (verb !== 'REST' && verb !== 'EPSV' && verb !== 'PASV') restart = 0;
  }

  const beforeLogin: Readonly<Record<string, (rest: string) => void | Promise<void>>> = {
    AUTH: (kind) => {
      if (secured) throw new FtpReply(503, 'TLS is on already');
      if (!/^(TLS|TLS-C|SSL)$/i.test(kind)) throw new FtpReply(504, 'AUTH TLS only');
      // Plain text sent along with AUTH would otherwise be obeyed as if it had come over TLS.
      if (text !== '' || lines.length > 0) {
        plain.destroy();
        return;
      }
      plain.removeAllListeners('data');
      plain.removeAllListeners('timeout');
      plain.setTimeout(0);
      say(234, 'Begin TLS');
      control = new TLSSocket(plain, { isServer: true, secureContext: settings.secureContext });
      secured = true;
      listenTo(control);
    },
    FEAT: () => void sayLines(211, 'Features', features, 'End'),
    QUIT: () => {
      say(221, 'Bye');
      control.end();
    },
    NOOP: () => say(200, 'OK'),
    USER: (name) => {
      if (!secured) throw new FtpReply(530, 'AUTH TLS first');
      user = name;
      loggedIn = false;
      say(331, 'Password, please');
    },
    PASS: (password) => {
      if (!secured) throw new FtpReply(530, 'AUTH TLS first');
      if (user === undefined) throw new FtpReply(503, 'USER first');
      loggedIn = isKnown(settings.users, { username: user, password });
      user = undefined;
      if (loggedIn) return say(230, 'Logged in');
      say(530, 'User or password is wrong');
      if (++loginsFailed >= loginsFailedMax) control.end();
    },
    PBSZ: () => {
      if (!secured) throw new FtpReply(503, 'AUTH TLS first');
      say(200, 'PBSZ=0');
    },
    PROT: (level) => {
      if (!secured) throw new FtpReply(503, 'AUTH TLS first');
      if (level.toUpperCase() !== 'P') throw new FtpReply(536, 'Only PROT P: data travels over TLS');
      dataProtected = true;
      say(200, 'Data is private');
    },
  };

  const at = (said: string) => virtualPath(cwd, said);
  const onDisk = (said: string) => diskPath(settings.root, at(said));
  async function fileOnDisk(said: string) {
    const path = await onDisk(said);
    const stats = await lstat(path);
    if (!stats.isFile()) throw new FtpReply(550, 'Not a plain file');
    return { path, stats };
  }
  /** Neither the root itself nor nothing at all. */
  async function changeable(said: string): Promise<string> {
    if (said === '' || at(said) === '/') throw new FtpReply(553, 'Name a file or folder');
    return await onDisk(said);
  }

  async function passiveMode(): Promise<Passive> {
    if (!dataProtected) throw new FtpReply(521, 'PBSZ 0 and PROT P first');
    passive?.close();
    passive = await listenPassive(plain.localAddress ?? '127.0.0.1', plain.remoteAddress, settings);
    return passive;
  }
  async function transfer(move: (data: DataConnection) => Promise<void>): Promise<void> {
    const mine = passive;
    passive = undefined;
    if (!mine) throw new FtpReply(425, 'EPSV or PASV first');
    say(150, 'Here it comes');
    try {
      const data = await mine.take();
      transferring = data;
      await move(data);
      say(226, 'Done');
    } catch (error) {
      if (error instanceof FtpReply || (error as NodeJS.ErrnoException).syscall === 'open') throw error;
      const code = (error as NodeJS.ErrnoException).code;
      throw code === 'ENOSPC' ? error : new FtpReply(426, 'The transfer was cut off');
    } finally {
      transferring?.stream.destroySoon();
      transferring = undefined;
      mine.close();
    }
  }
  const sendText = (write: () => Promise<string>) => async () => {
    const listing = await write();
    await transfer((data) => new Promise<void>((resolve) => data.stream.end(listing, () => resolve())));
  };
  /** LIST and NLST get options like -la from some clients; a real name may begin with a dash too. */
  const listTarget = (said: string) => said.replace(/^-[a-zA-Z]+(?: |$)/, '');
  async function entries(said: string) {
    const path = await onDisk(said);
    const stats = await lstat(path);
    return stats.isDirectory() ? await readFolder(path) : [{ name: basename(path), stats }];
  }
  async function receive(said: string, keepOf: (path: string) => Promise<number>): Promise<void> {
    const path = await changeable(said);
    const there = await lstat(path).catch(() => undefined);
    if (there && !there.isFile()) throw new FtpReply(550, 'Not a plain file');
    await lstat(posix.dirname(path)); // 550 before the data connection, when the folder is missing.
    const keep = await keepOf(path);
    await transfer(async (data) => {
      await receiveFile(path, { keep, bytesMax: settings.fileBytesMax }, data);
    });
  }

  const commands: Readonly<Record<string, (rest: string) => void | Promise<void>>> = {
    SYST: () => say(215, 'UNIX Type: L8'),
    OPTS: (option) => {
      if (/^(UTF8( ON)?|MLST .*|HASH SHA-256)$/i.test(option)) return say(200, 'OK');
      throw new FtpReply(501, 'Unknown option');
    },
    TYPE: (type) => {
      if (!/^(I|L 8|A( N)?)$/i.test(type)) throw new FtpReply(504, 'TYPE I only');
      say(200, 'Bytes are sent as they are');
    },
    STRU: (structure) => {
      if (structure.toUpperCase() !== 'F') throw new FtpReply(504, 'STRU F only');
      say(200, 'OK');
    },
    MODE: (mode) => {
      if (mode.toUpperCase() !== 'S') throw new FtpReply(504, 'MODE S only');
      say(200, 'OK');
    },
    ALLO: () => say(202, 'Not needed'),
    ABOR: () => say(226, 'Nothing to abort'),
    PWD: () => say(257, `"${cwd.replaceAll('"', '""')}"`),
    CWD: async (said) => {
      const path = at(said);
      if (!(await lstat(await diskPath(settings.root, path))).isDirectory())
        throw new FtpReply(550, 'Not a folder');
      cwd = path;
      say(250, 'OK');
    },
    CDUP: () => {
      cwd = posix.dirname(cwd);
      say(250, 'OK');
    },
    EPSV: async (option) => {
      if (option.toUpperCase() === 'ALL') return say(200, 'OK');
      const { port } = await passiveMode();
      say(229, `Passive (|||${port}|)`);
    },
    PASV: async () => {
      const host = (plain.localAddress ?? '').replace(/^::ffff:/, '');
      if (!/^[\d.]+$/.test(host)) throw new FtpReply(425, 'PASV is IPv4 only: use EPSV');
      const { port } = await passiveMode();
      say(227, `Passive (${host.replaceAll('.', ',')},${port >> 8},${port & 255})`);
    },
    MLSD: (said) =>
      sendText(async () => {
        const path = await onDisk(said);
        if (!(await lstat(path)).isDirectory()) throw new FtpReply(501, 'Not a folder');
        return (await readFolder(path))
          .map((entry) => {
            const bad = takeFault(settings.faults, ['bad-listing-date'], entry.name);
            return `${bad ? factsOf(entry, 'bad') : factsOf(entry)} ${entry.name}\r\n`;
          })
          .join('');
      })(),
    MLST: async (said) => {
      const path = await onDisk(said);
      const facts = factsOf({ name: at(said), stats: await lstat(path) });
      sayLines(250, 'Listing', [`${facts} ${at(said)}`], 'End');
    },
    LIST: (said) =>
      sendText(async () =>
        (await entries(listTarget(said))).map((entry) => `${listLine(entry)}\r\n`).join(''),
      )(),
    NLST: (said) =>
      sendText(async () => (await entries(listTarget(said))).map(({ name }) => `${name}\r\n`).join(''))(),
    RETR: async (said) => {
      const { path, stats } = await fileOnDisk(said);
      const start = restart;
      if (start > stats.size) throw new FtpReply(554, `The file has only ${stats.size} bytes`);
      const fault = takeFault(settings.faults, ['truncate', 'stall', 'reset', 'slow'], basename(path));
      await transfer((data) => sendFile(path, start, data, fault));
    },
    STOR: (said) => {
      const keep = restart;
      return receive(said, async () => keep);
    },
    APPE: (said) => receive(said, async (path) => (await lstat(path).catch(() => undefined))?.size ?? 0),
    REST: (offset) => {
      const bytes = Number(offset);
      if (!/^\d{1,16}$/.test(offset) || !Number.isSafeInteger(bytes))
        throw new FtpReply(501, 'REST takes a number of bytes');
      restart = bytes;
      say(350, `From ${bytes} on`);
    },
    SIZE: async (said) => say(213, String((await fileOnDisk(said)).stats.size)),
    MDTM: async (said) => say(213, ftpTime((await fileOnDisk(said)).stats.mtime)),
    MFMT: async (rest) => {
      const [time, ...name] = rest.split(' ');
      const date = parseFtpTime(time ?? '');
      if (!date) throw new FtpReply(501, 'MFMT YYYYMMDDHHMMSS name');
      await utimes((await fileOnDisk(name.join(' '))).path, date, date);
      say(213, `Modify=${time}; ${name.join(' ')}`);
    },
    HASH: async (said) => {
      const { hex, size } = await hashFile((await fileOnDisk(said)).path);
      say(213, `SHA-256 0-${Math.max(0, size - 1)} ${hex} ${said}`);
    },
    RNFR: async (said) => {
      const path = await changeable(said);
      await lstat(path);
      renameFrom = path;
      say(350, 'To where?');
    },
    RNTO: async (said) => {
      if (renameFrom === undefined) throw new FtpReply(503, 'RNFR first');
      const from = renameFrom;
      renameFrom = undefined;
      await rename(from, await changeable(said));
      say(250, 'Renamed');
    },
    DELE: async (said) => {
      await unlink((await fileOnDisk(said)).path);
      say(250, 'Deleted');
    },
    MKD: async (said) => {
      await mkdir(await changeable(said));
      say(257, `"${at(said).replaceAll('"', '""')}" made`);
    },
    RMD: async (said) => {
      await rmdir(await changeable(said));
      say(250, 'Removed');
    },
  };

  listenTo(plain);
  say(220, 'Baton FTP: AUTH TLS first');
}

/** Looks at every user, so that the time says nothing about either half. */
function isKnown(users: SessionSettings['users'], login: { username: string; password: string }): boolean {
  let known = false;
  for (const { username, password } of users) {
    const sameName = sameSecret(login.username, username);
    const samePassword = sameSecret(login.password, password);
    known = (sameName && samePassword) || known;
  }
  return known;
}
