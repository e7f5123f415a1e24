// One client: login, channels, heartbeats and the end of it. Reads a frame only when the one before is dealt with, the
// disk keeps up and the client takes its answers, so nothing piles up here. Knows nothing of queues.
import type { TLSSocket } from 'node:tls';
import { AmqpError } from './amqp-error.ts';
import {
  encodeAnswer,
  FrameReader,
  heartbeatFrame,
  protocolHeader,
  type AnswerName,
  type Frame,
  type Request,
  type RequestOf,
} from './amqp.ts';
import type { Broker } from './broker.ts';
import { Channel } from './channel.ts';
import { limits, periods } from './limits.ts';
import type { ReceivingBudget } from './publishing.ts';
import type { Logger } from '../../../runtime/logger.ts';

export interface ConnectionOptions {
  readonly socket: TLSSocket;
  readonly broker: Broker;
  readonly receiving: ReceivingBudget;
  readonly mayLogIn: (credentials: { username: string; password: string }) => boolean;
  readonly logger: Logger;
}

type Stage = 'protocol-header' | 'login' | 'tune' | 'open-vhost' | 'open' | 'closing' | 'closed';

export class Connection {
  readonly #socket: TLSSocket;
  readonly #broker: Broker;
  readonly #receiving: ReceivingBudget;
  readonly #mayLogIn: ConnectionOptions['mayLogIn'];
  readonly #logger: Logger;
  readonly #reader = new FrameReader(limits.frameBytesBeforeLogin);
  /** 'closing': we closed it and the client has not said that it knows. */
  readonly #channels = new Map<number, Channel | 'closing'>();
  readonly #closed: Promise<void>;
  /** For the log: what the client calls itself, and from where it comes. */
  #name: string;
  #stage: Stage = 'protocol-header';
  /** A frame is being dealt with. */
  #busy = false;
  #corked = false;
  #frameBytesMax: number = limits.frameBytes;
  #heardAt = performance.now();
  #sentAt = performance.now();
  #deadline: NodeJS.Timeout;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor({ socket, broker, receiving, mayLogIn, logger }: ConnectionOptions) {
    this.#socket = socket;
    this.#broker = broker;
    this.#receiving = receiving;
    this.#mayLogIn = mayLogIn;
    this.#logger = logger;
    this.#name = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    this.#deadline = setTimeout(() => this.#destroy('did not log in in time'), periods.loginMs);
    socket.on('data', (chunk: Buffer) => {
      if (this.#stage === 'closed') return;
      this.#heardAt = performance.now();
      this.#reader.push(chunk);
      this.#process();
    });
    socket.on('drain', () => this.#pumpChannels());
    socket.on('error', (error) => this.#logger.debug(`${this.#name}: ${error.message}`));
    this.#closed = new Promise((resolve) =>
      socket.on('close', () => {
        this.#ended();
        resolve();
      }),
    );
  }

  /** Tells the client that the broker ends. Resolves when the socket is closed, within a bound. */
  async close(): Promise<void> {
    this.#closeBecause(
      new AmqpError('CONNECTION_FORCED', 'broker forced connection closure: it is stopping'),
    );
    await this.#closed;
  }

  // -- reading

  #process(): void {
    try {
      while (!this.#busy && this.#stage !== 'closed') {
        if (this.#stage === 'protocol-header') {
          const header = this.#reader.takeProtocolHeader();
          if (!header) return;
          this.#greet(header);
          continue;
        }
        const frame = this.#reader.next();
        if (!frame) return;
        const pending = this.#handleSafely(frame) ?? this.#unsent();
        if (pending) this.#waitFor(frame, pending);
      }
    } catch (error) {
      this.#failed(undefined, error);
    }
  }

  /** Reads on when this is done. */
  #waitFor(frame: Frame, pending: Promise<void>): void {
    this.#busy = true;
    this.#socket.pause();
    pending
      .catch((error: unknown) => this.#failed(frame, error))
      .then(() => {
        this.#busy = false;
        // What the client said meanwhile is still in the socket.
        this.#heardAt = performance.now();
        this.#socket.resume();
        this.#process();
      })
      .catch((error: unknown) => this.#failed(undefined, error));
  }

  #handleSafely(frame: Frame): Promise<void> | undefined {
    try {
      return this.#handle(frame);
    } catch (error) {
      this.#failed(frame, error);
      return undefined;
    }
  }

  #handle(frame: Frame): Promise<void> | undefined {
    if (frame.kind === 'heartbeat') return undefined;
    if (frame.channel === 0) {
      if (frame.kind !== 'request') throw new AmqpError('UNEXPECTED_FRAME', 'content on channel 0');
      return this.#control(frame.request);
    }
    if (this.#stage === 'closing') return undefined;
    if (this.#stage !== 'open') throw new AmqpError('COMMAND_INVALID', 'a channel before the login is done');
    const channel = this.#channels.get(frame.channel);
    const request = frame.kind === 'request' ? frame.request : undefined;
    if (channel === undefined) {
      if (request?.name === 'ChannelOpen') return this.#openChannel(frame.channel);
      throw new AmqpError('CHANNEL_ERROR', `channel ${frame.channel} is not open`);
    }
    if (request?.name === 'ChannelCloseOk' && channel === 'closing') {
      this.#channels.delete(frame.channel);
      return undefined;
    }
    if (request?.name === 'ChannelClose') {
      if (channel !== 'closing') {
        channel.close();
        this.#channels.delete(frame.channel);
      }
      this.#answer(frame.channel, 'ChannelCloseOk', {});
      return undefined;
    }
    return channel === 'closing' ? undefined : channel.handle(frame);
  }

  // -- the connection itself

  #greet(header: Buffer): void {
    if (!header.equals(protocolHeader)) {
      // The specification: say which protocol is spoken here, and hang up.
      this.#socket.end(protocolHeader);
      return this.#destroy('speaks another protocol');
    }
    this.#stage = 'login';
    this.#answer(0, 'ConnectionStart', {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: {
        product: 'Baton development broker',
        capabilities: {
          publisher_confirms: true,
          'basic.nack': true,
          consumer_cancel_notify: true,
          per_consumer_qos: true,
          authentication_failure_close: true,
        },
      },
      mechanisms: Buffer.from('PLAIN'),
      locales: Buffer.from('en_US'),
    });
  }

  #control(request: Request): undefined {
    if (this.#stage === 'closing') {
      if (request.name === 'ConnectionCloseOk') this.#socket.end();
      // Both closed at the same time.
      if (request.name === 'ConnectionClose') this.#answer(0, 'ConnectionCloseOk', {});
      return;
    }
    if (request.name === 'ConnectionClose') {
      // First, so that a client that has its answer finds its messages back in their queues.
      this.#leave();
      this.#answer(0, 'ConnectionCloseOk', {});
      this.#logger.info(`${this.#name} closed its connection`);
      this.#socket.end();
    } else if (this.#stage === 'login' && request.name === 'ConnectionStartOk') this.#login(request.fields);
    else if (this.#stage === 'tune' && request.name === 'ConnectionTuneOk') this.#tune(request.fields);
    else if (this.#stage === 'open-vhost' && request.name === 'ConnectionOpen') this.#open(request.fields);
    else throw new AmqpError('COMMAND_INVALID', `${request.name} at this point of a connection`);
  }

  #login({ mechanism, response, clientProperties }: RequestOf<'ConnectionStartOk'>): void {
    if (mechanism !== 'PLAIN')
      throw new AmqpError('COMMAND_INVALID', `authentication mechanism '${mechanism}'; there is only PLAIN`);
    const name: unknown = clientProperties['connection_name'];
    if (typeof name === 'string') this.#name = `${this.#name} (${name.slice(0, 100)})`;
    // PLAIN: who to act as, who to log in as, password, parted by zero bytes (RFC 4616).
    const [, username = '', password = ''] = response.toString('utf8').split('\0');
    if (!this.#mayLogIn({ username, password }))
      throw new AmqpError(
        'ACCESS_REFUSED',
        'Login was refused using authentication mechanism PLAIN: wrong user or password',
      );
    this.#stage = 'tune';
    this.#answer(0, 'ConnectionTune', {
      channelMax: limits.channelsPerConnection,
      frameMax: limits.frameBytes,
      heartbeat: periods.heartbeatS,
    });
  }

  #tune({ frameMax, channelMax, heartbeat }: RequestOf<'ConnectionTuneOk'>): void {
    // 0 leaves it to us; the specification allows no less than 4096.
    if (frameMax > limits.frameBytes || (frameMax !== 0 && frameMax < 4_096))
      throw new AmqpError('NOT_ALLOWED', `frame_max ${frameMax}; it is from 4096 to ${limits.frameBytes}`);
    if (channelMax > limits.channelsPerConnection)
      throw new AmqpError(
        'NOT_ALLOWED',
        `channel_max ${channelMax}; the most is ${limits.channelsPerConnection}`,
      );
    if (frameMax !== 0) this.#frameBytesMax = frameMax;
    this.#reader.frameBytesMax = this.#frameBytesMax;
    if (heartbeat > 0) this.#beat(heartbeat * 1_000);
    this.#stage = 'open-vhost';
  }

  #open({ virtualHost }: RequestOf<'ConnectionOpen'>): void {
    if (virtualHost !== '/')
      throw new AmqpError('NOT_ALLOWED', `vhost ${virtualHost} not found; there is only /`);
    clearTimeout(this.#deadline);
    this.#stage = 'open';
    this.#answer(0, 'ConnectionOpenOk', {});
    this.#logger.info(`${this.#name} logged in`);
  }

  #openChannel(number: number): undefined {
    if (this.#channels.size >= limits.channelsPerConnection || number > limits.channelsPerConnection)
      throw new AmqpError('NOT_ALLOWED', `more than ${limits.channelsPerConnection} channels`);
    const peer = {
      frameBytesMax: this.#frameBytesMax,
      send: (frames: readonly Buffer[]) => this.#send(frames),
      hasRoom: () => this.#hasRoom(),
    };
    this.#channels.set(
      number,
      new Channel({ number, peer, broker: this.#broker, receiving: this.#receiving }),
    );
    this.#answer(number, 'ChannelOpenOk', {});
  }

  /** As RabbitMQ: a sign of life after half the period, the end after two periods of silence. */
  #beat(periodMs: number): void {
    this.#heartbeat = setInterval(() => {
      const now = performance.now();
      if (now - this.#sentAt >= periodMs / 2) this.#send([heartbeatFrame]);
      // While we do not read, the silence is ours.
      if (!this.#busy && now - this.#heardAt > 2 * periodMs)
        this.#destroy(`missed heartbeats for ${2 * periodMs} ms`);
    }, periodMs / 2);
  }

  // -- writing

  #answer(channel: number, name: AnswerName, fields: object): void {
    this.#send([encodeAnswer(channel, name, fields)]);
  }

  #send(frames: readonly Buffer[]): void {
    if (!this.#socket.writable) return;
    this.#sentAt = performance.now();
    if (!this.#corked) {
      // What is said in one turn of the event loop goes out as one piece.
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    for (const frame of frames) this.#socket.write(frame);
  }

  #hasRoom(): boolean {
    return this.#stage === 'open' && this.#socket.writableLength < limits.unsentBytes;
  }

  /** Something to wait for while the client does not take what it asked for. */
  #unsent(): Promise<void> | undefined {
    if (this.#socket.destroyed || this.#socket.writableLength < limits.unsentBytes) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      const timer = setTimeout(
        () => this.#destroy(`took nothing from its socket for ${periods.unsentMs} ms`),
        periods.unsentMs,
      );
      this.#socket.on('drain', done).on('close', done);
    });
  }

  #pumpChannels(): void {
    for (const channel of this.#channels.values()) if (channel !== 'closing') channel.pump();
  }

  // -- the end

  #failed(frame: Frame | undefined, error: unknown): void {
    if (this.#stage === 'closing' || this.#stage === 'closed') return this.#destroy('broke the protocol');
    const number = frame && 'channel' in frame ? frame.channel : 0;
    const known = error instanceof AmqpError ? error : undefined;
    if (!known)
      this.#logger.error(
        `${this.#name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    if (known?.scope === 'channel' && number !== 0) this.#closeChannel(number, known);
    else this.#closeBecause(known ?? { code: 541, message: 'INTERNAL_ERROR - see the log of the broker' });
  }

  #closeChannel(number: number, error: AmqpError): void {
    const channel = this.#channels.get(number);
    // Closed by its client while we were busy with it.
    if (channel === undefined || channel === 'closing') return;
    this.#logger.warn(`${this.#name}: channel ${number} closed: ${error.message}`);
    channel.close();
    this.#channels.set(number, 'closing');
    this.#answer(number, 'ChannelClose', closeFields(error));
  }

  #closeBecause(error: { code: number; message: string }): void {
    if (this.#stage === 'closing' || this.#stage === 'closed') return;
    if (error.code !== 320) this.#logger.warn(`${this.#name}: connection closed: ${error.message}`);
    const greeted = this.#stage !== 'protocol-header';
    this.#stage = 'closing';
    this.#closeChannels();
    this.#destroyAfter(periods.closeMs);
    if (greeted) this.#answer(0, 'ConnectionClose', closeFields(error));
    else this.#socket.end();
  }

  #destroy(reason: string): void {
    this.#logger.warn(`${this.#name} ${reason}: cut off`);
    this.#leave();
    this.#socket.destroySoon();
  }

  /** Its messages go back now: the socket of a client that takes nothing would hold them until the network gives up. */
  #leave(): void {
    this.#stage = 'closed';
    clearInterval(this.#heartbeat);
    this.#closeChannels();
    this.#destroyAfter(periods.closeMs);
  }

  #destroyAfter(ms: number): void {
    clearTimeout(this.#deadline);
    if (!this.#socket.destroyed) this.#deadline = setTimeout(() => this.#socket.destroy(), ms);
  }

  #ended(): void {
    this.#stage = 'closed';
    clearTimeout(this.#deadline);
    clearInterval(this.#heartbeat);
    this.#closeChannels();
  }

  #closeChannels(): void {
    for (const channel of this.#channels.values()) if (channel !== 'closing') channel.close();
    this.#channels.clear();
  }
}

function closeFields({ code, message }: { code: number; message: string }): object {
  // The reason is a short string; a name in it may be long.
  const text = Buffer.from(message)
    .subarray(0, 250)
    .toString('utf8')
    .replace(/\uFFFD$/u, '');
  return { replyCode: code, replyText: text, classId: 0, methodId: 0 };
}
