// One control connection: lines in, one command after the other, answers out. Nothing but AUTH TLS, FEAT and
// QUIT is done before TLS, nothing with files before USER and PASS.
import type { Socket } from 'node:net';
import { commands, commandsBeforeLogin } from './commands.ts';
import { FtpReply, replyFor } from './reply.ts';
import { Session, type SessionSettings } from './session.ts';

const lineBytesMax = 4_096;
const linesWaitingMax = 16; // A client may pipeline a little.

export class ControlConnection {
  readonly #plain: Socket;
  readonly #idleMs: number;
  readonly #session: Session;
  #text = '';
  readonly #lines: string[] = [];
  #isWorking = false;

  constructor(plain: Socket, settings: SessionSettings) {
    this.#plain = plain;
    this.#idleMs = settings.idleMs;
    this.#session = new Session(plain, settings);
  }

  start(): void {
    this.#listenTo(this.#plain);
    this.#session.say(220, 'Baton FTP: AUTH TLS first');
  }

  #listenTo(stream: Socket): void {
    stream.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('utf8');
      for (let end = this.#text.indexOf('\n'); end >= 0; end = this.#text.indexOf('\n')) {
        this.#lines.push(this.#text.slice(0, end).replace(/\r$/, ''));
        this.#text = this.#text.slice(end + 1);
        if (/^[^a-z]*ABOR$/i.test(this.#lines.at(-1) ?? '')) this.#session.abort();
      }
      if (this.#text.length > lineBytesMax || this.#lines.length > linesWaitingMax) {
        this.#session.say(500, 'Too much at once');
        stream.destroy();
      } else void this.#work();
    });
    stream.on('error', () => stream.destroy());
    stream.on('close', () => this.#session.release());
    stream.setTimeout(this.#idleMs, () => {
      if (this.#session.isTransferring) return; // Its own idle time bounds it.
      this.#session.say(421, 'Idle for too long');
      stream.destroy();
    });
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      for (
        let line = this.#lines.shift();
        line !== undefined && !this.#session.isOver;
        line = this.#lines.shift()
      ) {
        try {
          if (Buffer.byteLength(line) > lineBytesMax) throw new FtpReply(500, 'Line is too long');
          await this.#run(line);
        } catch (error) {
          const reply = replyFor(error);
          this.#session.say(reply.status, reply.message);
        }
      }
    } finally {
      this.#isWorking = false;
    }
  }

  async #run(line: string): Promise<void> {
    const session = this.#session;
    const space = line.indexOf(' ');
    const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
    const rest = space < 0 ? '' : line.slice(space + 1);
    if (verb === 'AUTH') return this.#startTls(rest);
    const early = commandsBeforeLogin[verb];
    if (early) return early(session, rest);
    const command = commands[verb];
    if (!command) throw new FtpReply(502, 'Not implemented');
    session.requireTls(530);
    if (!session.isLoggedIn) throw new FtpReply(530, 'Log in with USER and PASS first');
    if (verb !== 'RNTO') session.renameFrom = verb === 'RNFR' ? session.renameFrom : undefined;
    await command(session, rest);
    if (verb !== 'REST' && verb !== 'EPSV' && verb !== 'PASV') session.restart = 0;
  }

  #startTls(kind: string): void {
    if (this.#session.isSecure) throw new FtpReply(503, 'TLS is on already');
    if (!/^(TLS|TLS-C|SSL)$/i.test(kind)) throw new FtpReply(504, 'AUTH TLS only');
    // Plain text sent along with AUTH would otherwise be obeyed as if it had come over TLS.
    if (this.#text !== '' || this.#lines.length > 0) {
      this.#plain.destroy();
      return;
    }
    this.#plain.removeAllListeners('data');
    this.#plain.removeAllListeners('timeout');
    this.#plain.setTimeout(0);
    this.#session.say(234, 'Begin TLS');
    this.#listenTo(this.#session.startTls());
  }
}
