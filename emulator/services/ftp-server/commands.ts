// What each verb of FTP does (RFC 959, 2228, 2389, 2428, 3659). A verb that cannot be carried out throws the reason as an FtpReply.
import { lstat, mkdir, rename, rmdir, unlink, utimes } from 'node:fs/promises';
import { basename, posix } from 'node:path';
import { takeFault } from './faults.ts';
import { diskPath } from './jail.ts';
import { factsOf, ftpTime, listLine, parseFtpTime, readFolder } from './listing.ts';
import { FtpReply } from './reply.ts';
import type { Session } from './session.ts';
import { hashFile, receiveFile, sendFile } from './transfer.ts';

type Command = (session: Session, rest: string) => void | Promise<void>;

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

/** AUTH is not among them: it takes the connection over (control-connection.ts). */
export const commandsBeforeLogin: Readonly<Record<string, Command>> = {
  FEAT: (session) => session.sayLines(211, { first: 'Features', middle: features, last: 'End' }),
  QUIT: (session) => {
    session.say(221, 'Bye');
    session.end();
  },
  NOOP: (session) => session.say(200, 'OK'),
  USER: (session, name) => {
    session.requireTls(530);
    session.nameUser(name);
    session.say(331, 'Password, please');
  },
  PASS: (session, password) => {
    session.requireTls(530);
    session.logIn(password);
  },
  PBSZ: (session) => {
    session.requireTls(503);
    session.say(200, 'PBSZ=0');
  },
  PROT: (session, level) => {
    session.requireTls(503);
    if (level.toUpperCase() !== 'P') throw new FtpReply(536, 'Only PROT P: data travels over TLS');
    session.protectData();
    session.say(200, 'Data is private');
  },
};

export const commands: Readonly<Record<string, Command>> = {
  SYST: (session) => session.say(215, 'UNIX Type: L8'),
  OPTS: (session, option) => {
    if (/^(UTF8( ON)?|MLST .*|HASH SHA-256)$/i.test(option)) return session.say(200, 'OK');
    throw new FtpReply(501, 'Unknown option');
  },
  TYPE: (session, type) => {
    if (!/^(I|L 8|A( N)?)$/i.test(type)) throw new FtpReply(504, 'TYPE I only');
    session.say(200, 'Bytes are sent as they are');
  },
  STRU: (session, structure) => {
    if (structure.toUpperCase() !== 'F') throw new FtpReply(504, 'STRU F only');
    session.say(200, 'OK');
  },
  MODE: (session, mode) => {
    if (mode.toUpperCase() !== 'S') throw new FtpReply(504, 'MODE S only');
    session.say(200, 'OK');
  },
  ALLO: (session) => session.say(202, 'Not needed'),
  ABOR: (session) => session.say(226, 'Nothing to abort'),
  PWD: (session) => session.say(257, `"${session.cwd.replaceAll('"', '""')}"`),
  CWD: async (session, said) => {
    const path = session.at(said);
    if (!(await lstat(await diskPath(session.settings.root, path))).isDirectory())
      throw new FtpReply(550, 'Not a folder');
    session.cwd = path;
    session.say(250, 'OK');
  },
  CDUP: (session) => {
    session.cwd = posix.dirname(session.cwd);
    session.say(250, 'OK');
  },
  EPSV: async (session, option) => {
    if (option.toUpperCase() === 'ALL') return session.say(200, 'OK');
    const { port } = await session.openPassive();
    session.say(229, `Passive (|||${port}|)`);
  },
  PASV: async (session) => {
    const host = session.host.replace(/^::ffff:/, '');
    if (!/^[\d.]+$/.test(host)) throw new FtpReply(425, 'PASV is IPv4 only: use EPSV');
    const { port } = await session.openPassive();
    session.say(227, `Passive (${host.replaceAll('.', ',')},${port >> 8},${port & 255})`);
  },
  MLSD: (session, said) =>
    sendText(session, async () => {
      const path = await session.onDisk(said);
      if (!(await lstat(path)).isDirectory()) throw new FtpReply(501, 'Not a folder');
      return (await readFolder(path))
        .map((entry) => {
          const bad = takeFault(session.settings.faults, ['bad-listing-date'], entry.name);
          return `${bad ? factsOf(entry, 'bad') : factsOf(entry)} ${entry.name}\r\n`;
        })
        .join('');
    }),
  MLST: async (session, said) => {
    const path = await session.onDisk(said);
    const facts = factsOf({ name: session.at(said), stats: await lstat(path) });
    session.sayLines(250, { first: 'Listing', middle: [`${facts} ${session.at(said)}`], last: 'End' });
  },
  LIST: (session, said) =>
    sendText(session, async () =>
      (await entries(session, listTarget(said))).map((entry) => `${listLine(entry)}\r\n`).join(''),
    ),
  NLST: (session, said) =>
    sendText(session, async () =>
      (await entries(session, listTarget(said))).map(({ name }) => `${name}\r\n`).join(''),
    ),
  RETR: async (session, said) => {
    const { path, stats } = await fileOnDisk(session, said);
    const start = session.restart;
    if (start > stats.size) throw new FtpReply(554, `The file has only ${stats.size} bytes`);
    const fault = takeFault(session.settings.faults, ['truncate', 'stall', 'reset', 'slow'], basename(path));
    await session.transfer((data) => sendFile(path, start, data, fault));
  },
  STOR: (session, said) => {
    const keep = session.restart;
    return receive(session, said, async () => keep);
  },
  APPE: (session, said) =>
    receive(session, said, async (path) => (await lstat(path).catch(() => undefined))?.size ?? 0),
  REST: (session, offset) => {
    const bytes = Number(offset);
    if (!/^\d{1,16}$/.test(offset) || !Number.isSafeInteger(bytes))
      throw new FtpReply(501, 'REST takes a number of bytes');
    session.restart = bytes;
    session.say(350, `From ${bytes} on`);
  },
  SIZE: async (session, said) => session.say(213, String((await fileOnDisk(session, said)).stats.size)),
  MDTM: async (session, said) => session.say(213, ftpTime((await fileOnDisk(session, said)).stats.mtime)),
  MFMT: async (session, rest) => {
    const [time, ...name] = rest.split(' ');
    const date = parseFtpTime(time ?? '');
    if (!date) throw new FtpReply(501, 'MFMT YYYYMMDDHHMMSS name');
    await utimes((await fileOnDisk(session, name.join(' '))).path, date, date);
    session.say(213, `Modify=${time}; ${name.join(' ')}`);
  },
  HASH: async (session, said) => {
    const { hex, size } = await hashFile((await fileOnDisk(session, said)).path);
    session.say(213, `SHA-256 0-${Math.max(0, size - 1)} ${hex} ${said}`);
  },
  RNFR: async (session, said) => {
    const path = await changeable(session, said);
    await lstat(path);
    session.renameFrom = path;
    session.say(350, 'To where?');
  },
  RNTO: async (session, said) => {
    if (session.renameFrom === undefined) throw new FtpReply(503, 'RNFR first');
    const from = session.renameFrom;
    session.renameFrom = undefined;
    await rename(from, await changeable(session, said));
    session.say(250, 'Renamed');
  },
  DELE: async (session, said) => {
    await unlink((await fileOnDisk(session, said)).path);
    session.say(250, 'Deleted');
  },
  MKD: async (session, said) => {
    await mkdir(await changeable(session, said));
    session.say(257, `"${session.at(said).replaceAll('"', '""')}" made`);
  },
  RMD: async (session, said) => {
    await rmdir(await changeable(session, said));
    session.say(250, 'Removed');
  },
};

async function fileOnDisk(session: Session, said: string) {
  const path = await session.onDisk(said);
  const stats = await lstat(path);
  if (!stats.isFile()) throw new FtpReply(550, 'Not a plain file');
  return { path, stats };
}
/** Neither the root itself nor nothing at all. */
async function changeable(session: Session, said: string): Promise<string> {
  if (said === '' || session.at(said) === '/') throw new FtpReply(553, 'Name a file or folder');
  return await session.onDisk(said);
}
/** LIST and NLST get options like -la from some clients; a real name may begin with a dash too. */
function listTarget(said: string): string {
  return said.replace(/^-[a-zA-Z]+(?: |$)/, '');
}
async function entries(session: Session, said: string) {
  const path = await session.onDisk(said);
  const stats = await lstat(path);
  return stats.isDirectory() ? await readFolder(path) : [{ name: basename(path), stats }];
}
async function sendText(session: Session, write: () => Promise<string>): Promise<void> {
  const listing = await write();
  await session.transfer((data) => new Promise<void>((resolve) => data.stream.end(listing, () => resolve())));
}
async function receive(
  session: Session,
  said: string,
  keepOf: (path: string) => Promise<number>,
): Promise<void> {
  const path = await changeable(session, said);
  const there = await lstat(path).catch(() => undefined);
  if (there && !there.isFile()) throw new FtpReply(550, 'Not a plain file');
  await lstat(posix.dirname(path)); // 550 before the data connection, when the folder is missing.
  const keep = await keepOf(path);
  await session.transfer(async (data) => {
    const { fileBytesMax: bytesMax } = session.settings;
    await receiveFile(path, { keep, bytesMax, assertSentAll: () => session.assertSentAll() }, data);
  });
}
