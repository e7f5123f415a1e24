// The UDP sockets of a node: on one local port one connected socket per peer, because only a connected
// socket is told that the other side's port is closed, and an unconnected one for whoever else writes.
// Resolves the peers' names again and again, since a node that moves keeps its name. No error of a send or a
// lookup gets further than a counter. Never looks into a datagram.
import { createSocket, type Socket, type SocketType } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP, isIPv6 } from 'node:net';

export interface UdpPeer {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

export interface UdpOptions {
  readonly bind: string;
  readonly port: number;
  readonly peers: readonly UdpPeer[];
  /** `source` is `address:port`; `peer` says that it is the very address this peer is configured with. */
  readonly onDatagram: (packet: Buffer, from: { source: string; peer?: string }) => void;
  /** Nobody listens on this peer's port. */
  readonly onRefused: (peer: string) => void;
  readonly count: (what: string) => void;
}

export interface Udp {
  /** Never throws and never waits; what cannot be sent is counted and gone, as UDP may do anyway. */
  send(to: string, packet: Buffer): void;
  close(): Promise<void>;
}

/** Names on AWS live 5 s; a lookup costs a thread of the pool for a moment. */
const lookupEveryMs = 2_000;
const lookupAgainMs = 500;
/** Errors after which a connected socket is as good as before. */
const passing = new Set([
  'ECONNREFUSED',
  'EPERM',
  'ENOBUFS',
  'EAGAIN',
  'EMSGSIZE',
  'ENETUNREACH',
  'EHOSTUNREACH',
]);

/** @throws the system's error when the port cannot be bound. */
export async function openUdp(options: UdpOptions): Promise<Udp> {
  const { bind, port, count } = options;
  const type: SocketType = isIPv6(bind) ? 'udp6' : 'udp4';
  const listener = await bound(newSocket());
  listener.on('error', (error) => count(`receive-error.${systemCodeOf(error)}`));
  const links = new Map(options.peers.map((peer) => [peer.id, openLink(peer)]));
  let closed = false;

  function newSocket(peer?: UdpPeer): Socket {
    const socket = createSocket({ type, reuseAddr: true });
    let connectedTo = '';
    socket.on('connect', () => {
      connectedTo = sourceOf(socket.remoteAddress());
    });
    socket.on('message', (packet, sender) => {
      const source = sourceOf(sender);
      // Between bind and connect the socket hears everybody.
      options.onDatagram(packet, peer && source === connectedTo ? { source, peer: peer.id } : { source });
    });
    return socket;
  }

  async function bound(socket: Socket): Promise<Socket> {
    socket.bind({ address: bind, port, exclusive: true });
    await once(socket, 'listening');
    return socket;
  }

  function openLink(peer: UdpPeer) {
    let address: string | undefined;
    let socket: Socket | undefined;
    let timer: NodeJS.Timeout | undefined;

    function failed(error: Error, on: Socket): void {
      const code = systemCodeOf(error);
      count(`send-error.${code}`);
      if (code === 'ECONNREFUSED') options.onRefused(peer.id);
      else if (!passing.has(code) && socket === on) {
        drop();
        // A name would be looked up again sooner or later, a literal address never.
        clearTimeout(timer);
        if (!closed) timer = setTimeout(() => void refresh(), lookupAgainMs);
      }
    }

    function drop(): void {
      const old = socket;
      socket = undefined;
      address = undefined;
      if (old) closeQuietly(old);
    }

    async function connect(to: string): Promise<void> {
      const fresh = newSocket(peer);
      try {
        await bound(fresh);
        fresh.connect(peer.port, to);
        await once(fresh, 'connect');
      } catch (error) {
        closeQuietly(fresh);
        throw error;
      }
      if (closed) return closeQuietly(fresh);
      fresh.on('error', (error) => failed(error, fresh));
      drop();
      socket = fresh;
      address = to;
    }

    async function refresh(): Promise<void> {
      let again = lookupAgainMs;
      try {
        const found = await lookup(peer.host, { family: type === 'udp6' ? 6 : 4 });
        if (found.address !== address && !closed) await connect(found.address);
        again = lookupEveryMs;
      } catch (error) {
        // The old address, if there is one, stays in use: a name server that is down changes nothing.
        count(`lookup-error.${systemCodeOf(error)}`);
      }
      if (closed || (isIP(peer.host) && socket)) return;
      timer = setTimeout(() => void refresh(), again);
    }
    const ready = refresh();

    return {
      ready,
      send(packet: Buffer): void {
        const via = socket;
        if (!via) return count('send-error.no-address');
        via.send(packet, (error) => {
          if (!error) return count('sent');
          failed(error, via);
          // The refusal was of an earlier datagram, and in telling so the system did not send this one.
          if (systemCodeOf(error) === 'ECONNREFUSED' && socket === via)
            via.send(packet, (again) => {
              if (again) count(`send-error.${systemCodeOf(again)}`);
              else count('sent');
            });
          return undefined;
        });
        return undefined;
      },
      close(): void {
        clearTimeout(timer);
        drop();
      },
    };
  }

  // Literal addresses and quick name servers are there at once; slow ones must not delay the start.
  await Promise.race([
    Promise.all([...links.values()].map(({ ready }) => ready)),
    new Promise((resolve) => setTimeout(resolve, 200)),
  ]);
  return {
    send: (to, packet) => links.get(to)?.send(packet),
    close: async () => {
      closed = true;
      for (const link of links.values()) link.close();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}

const sourceOf = ({ address, port }: { address: string; port: number }): string => `${address}:${port}`;

function closeQuietly(socket: Socket): void {
  socket.removeAllListeners('message');
  // A refusal that is still on its way would otherwise be an unhandled event.
  socket.on('error', () => undefined);
  socket.close();
}

function systemCodeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}
