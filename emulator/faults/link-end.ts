// One end of a link, where one node finds another: UDP and TCP under one port, as a node has them. It looks to that node
// like the other one, and so it also has to look dead: while the other's port refuses, this one is closed, and the
// kernel refuses in its stead. Loses, delays and decides nothing.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export interface LinkEndOptions {
  readonly host: string;
  readonly port: number;
  /** The port of the node that this end faces. */
  readonly nodePort: number;
  readonly onDatagram: (packet: Buffer) => void;
  readonly onConnection: (socket: Socket) => void;
  /** Nobody listens at the node that this end faces. */
  readonly onRefused: () => void;
}

/** How long before it is asked again whether the other one still refuses. */
const refuseMs = 250;
const connectionsMax = 64;

export class LinkEnd {
  readonly #options: LinkEndOptions;
  #udp: UdpSocket | undefined;
  #tcp: Server | undefined;
  #opening: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: LinkEndOptions) {
    this.#options = options;
  }

  /** @throws the system's error when the port is taken. */
  static async open(options: LinkEndOptions): Promise<LinkEnd> {
    const end = new LinkEnd(options);
    await end.#listen();
    return end;
  }

  /** Sends to the node. What comes while this end refuses shows that the other one lives again. */
  send(packet: Buffer): void {
    const udp = this.#udp;
    if (!udp) return void this.#reopen();
    udp.send(packet, (error) => {
      if (!isRefusal(error)) return;
      this.#options.onRefused();
      // The refusal was of an earlier datagram, and in telling so the system did not send this one.
      if (this.#udp === udp) udp.send(packet, () => undefined);
    });
    return undefined;
  }

  refuse(): void {
    if (!this.#udp) return;
    this.#stopListening();
    this.#timer = setTimeout(() => void this.#reopen(), refuseMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#stopListening();
  }

  async #reopen(): Promise<void> {
    if (this.#opening || this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#opening = this.#listen();
    try {
      await this.#opening;
    } catch {
      // Somebody else has the port for a moment.
      this.#stopListening();
      this.#timer = setTimeout(() => void this.#reopen(), refuseMs);
    } finally {
      this.#opening = undefined;
    }
  }

  async #listen(): Promise<void> {
    const { host, port, nodePort, onDatagram, onConnection, onRefused } = this.#options;
    const tcp = createServer({ noDelay: true }, onConnection);
    tcp.maxConnections = connectionsMax;
    tcp.listen({ host, port, exclusive: true });
    await once(tcp, 'listening');
    const udp = createSocket('udp4');
    try {
      udp.bind({ address: host, port, exclusive: true });
      await once(udp, 'listening');
      udp.connect(nodePort, host);
      await once(udp, 'connect');
    } catch (error) {
      udp.close();
      tcp.close();
      throw error;
    }
    // Connected: only this node's datagrams come, and only so does the system tell of refusals.
    udp.on('message', onDatagram);
    udp.on('error', (error) => {
      if (isRefusal(error)) onRefused();
    });
    this.#udp = udp;
    this.#tcp = tcp;
    if (this.#isClosed) this.#stopListening();
  }

  #stopListening(): void {
    clearTimeout(this.#timer);
    this.#udp?.close();
    this.#udp = undefined;
    this.#tcp?.close();
    this.#tcp = undefined;
  }
}

const isRefusal = (error: Error | null): boolean =>
  error !== null && 'code' in error && error.code === 'ECONNREFUSED';
