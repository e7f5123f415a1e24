// What one client has said so far, and what it may do by that: TLS, login, folder, data connection. Knows no verbs.
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { sameSecret } from '../../../runtime/same-secret.ts';
import { pause } from '../../../runtime/waiting.ts';
import { listenPassive, type DataConnection, type DataSettings, type Passive } from './data-channel.ts';
import type { FtpFault } from './faults.ts';
import { diskPath, virtualPath } from './jail.ts';
import { FtpReply } from './reply.ts';

export interface SessionSettings extends DataSettings {
  readonly root: string;
  readonly users: readonly { readonly username: string; readonly password: string }[];
  readonly faults: FtpFault[];
  readonly fileBytesMax: number;
}

const loginsFailedMax = 3;
const endsWithinMs = 50; // Both connections of a process that dies are closed at once.

export class Session {
  readonly settings: SessionSettings;
  readonly #plain: Socket;
  #control: Socket;
  #user: string | undefined;
  #isLoggedIn = false;
  #loginsFailed = 0;
  #isDataProtected = false;
  #passive: Passive | undefined;
  #transferring: DataConnection | undefined;
  #isAborted = false;
  cwd = '/';
  /** Where the next transfer begins: bytes of the file. */
  restart = 0;
  renameFrom: string | undefined;

  constructor(plain: Socket, settings: SessionSettings) {
    this.settings = settings;
    this.#plain = plain;
    this.#control = plain;
  }

  get isSecure(): boolean {
    return this.#control !== this.#plain;
  }
  get isLoggedIn(): boolean {
    return this.#isLoggedIn;
  }
  get isOver(): boolean {
    return this.#control.destroyed;
  }
  get isTransferring(): boolean {
    return this.#transferring !== undefined;
  }
  /** The address that the client has reached. */
  get host(): string {
    return this.#plain.localAddress ?? '127.0.0.1';
  }

  say(status: number, message: string): void {
    if (!this.isOver) this.#control.write(`${status} ${message.replace(/\p{Cc}+/gu, ' ')}\r\n`);
  }
  sayLines(
    status: number,
    { first, middle, last }: { first: string; middle: readonly string[]; last: string },
  ): void {
    const lines = middle.map((line) => ` ${line}\r\n`).join('');
    this.#control.write(`${status}-${first}\r\n${lines}${status} ${last}\r\n`);
  }
  end(): void {
    this.#control.end();
  }
  /** When the control connection is gone. */
  release(): void {
    this.#passive?.close();
    this.#transferring?.stream.destroy();
  }

  /** @returns what the client says from now on. */
  startTls(): TLSSocket {
    const { secureContext } = this.settings;
    const secure = new TLSSocket(this.#plain, { isServer: true, secureContext });
    this.#control = secure;
    return secure;
  }
  /** @throws FtpReply before TLS. */
  requireTls(status: number): void {
    if (!this.isSecure) throw new FtpReply(status, 'AUTH TLS first');
  }
  protectData(): void {
    this.#isDataProtected = true;
  }

  nameUser(name: string): void {
    this.#user = name;
    this.#isLoggedIn = false;
  }
  logIn(password: string): void {
    if (this.#user === undefined) throw new FtpReply(503, 'USER first');
    this.#isLoggedIn = isKnown(this.settings.users, { username: this.#user, password });
    this.#user = undefined;
    if (this.#isLoggedIn) return this.say(230, 'Logged in');
    this.say(530, 'User or password is wrong');
    this.#loginsFailed += 1;
    if (this.#loginsFailed >= loginsFailedMax) this.end();
  }

  /** The path inside the jail. */
  at(said: string): string {
    return virtualPath(this.cwd, said);
  }
  onDisk(said: string): Promise<string> {
    return diskPath(this.settings.root, this.at(said));
  }

  async openPassive(): Promise<Passive> {
    if (!this.#isDataProtected) throw new FtpReply(521, 'PBSZ 0 and PROT P first');
    this.#passive?.close();
    this.#passive = await listenPassive(this.host, this.#plain.remoteAddress, this.settings);
    return this.#passive;
  }

  /** What is transferred now is not wanted any more. */
  abort(): void {
    this.#isAborted = true;
    this.#transferring?.stream.destroy();
  }
  /**
   * To be asked when data have ended. They end alike when all was sent and when the client died or gave up, since Node tells
   * nobody whether TLS was closed in order: the control connection says which it was. @throws FtpReply
   */
  async assertSentAll(): Promise<void> {
    await pause(endsWithinMs);
    if (this.isOver || this.#control.readableEnded || this.#isAborted)
      throw new FtpReply(426, 'The transfer was broken off');
  }

  /** Over the data connection that was opened last. */
  async transfer(move: (data: DataConnection) => Promise<void>): Promise<void> {
    const mine = this.#passive;
    this.#passive = undefined;
    this.#isAborted = false;
    if (!mine) throw new FtpReply(425, 'EPSV or PASV first');
    this.say(150, 'Here it comes');
    try {
      const data = await mine.take();
      this.#transferring = data;
      await move(data);
      this.say(226, 'Done');
    } catch (error) {
      if (error instanceof FtpReply || (error as NodeJS.ErrnoException).syscall === 'open') throw error;
      const code = (error as NodeJS.ErrnoException).code;
      throw code === 'ENOSPC' ? error : new FtpReply(426, 'The transfer was cut off');
    } finally {
      this.#transferring?.stream.destroySoon();
      this.#transferring = undefined;
      mine.close();
    }
  }
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
