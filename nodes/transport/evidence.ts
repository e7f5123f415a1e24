// Evidence that the leader's process is gone: the kernel closes its TCP connections at once, while a timeout
// takes a timeout. A follower keeps one connection to its leader's raft thread (same port number as its UDP)
// and hears, sealed, which boot answers there; only the close of such a connection says anything.
// Never grants anything: evidence shortens waiting. A listener's data and connections are bounded, so that a
// port scanner costs little and learns nothing.
import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { packetLengthMax } from './packet.ts';
import type { Sessions } from './sessions.ts';

export interface EvidenceOptions {
  readonly bind: string;
  readonly port: number;
  readonly peers: ReadonlyMap<string, { readonly host: string; readonly port: number }>;
  readonly sessions: Sessions;
  readonly now: () => number;
  readonly nonce: () => Buffer;
  /** That boot's connection closed, or its port refused one after the last sign of life. */
  readonly onDeath: (dead: { peer: string; boot: string; why: string }) => void;
  /** A boot greets that has not proven itself; it is asked over UDP. */
  readonly onUnproven: (peer: string) => void;
  readonly count: (what: string) => void;
}

export interface Evidence {
  /** The boot to keep a connection to; undefined: none. */
  watch(leader: { readonly peer: string; readonly boot: string } | undefined): void;
  close(): Promise<void>;
}

/** Seven members and restarts need far fewer; a scanner can only make evidence slower, never false. */
const connectionsMax = 64;
const greetWithinMs = 1_000;
const connectWithinMs = 1_000;
const againMsMin = 50;
const againMsMax = 1_000;

/** @throws the system's error when the port cannot be bound. */
export async function openEvidence(options: EvidenceOptions): Promise<Evidence> {
  const server = await listen(options);
  let watched: Watch | undefined;
  return {
    watch(leader) {
      if (leader?.peer === watched?.leader.peer && leader?.boot === watched?.leader.boot) return;
      watched?.abandon();
      watched = leader && startWatch(leader, options);
    },
    async close() {
      watched?.abandon();
      await server.close();
    },
  };
}

async function listen(options: EvidenceOptions): Promise<{ close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    answer(socket, options);
  });
  server.maxConnections = connectionsMax;
  server.on('drop', () => options.count('evidence.dropped'));
  server.listen({ host: options.bind, port: options.port, exclusive: true });
  await once(server, 'listening');
  server.on('error', () => options.count('evidence.accept-error'));
  return {
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** The leader's side: one sealed question within a second, one sealed answer, then silence until the end. */
function answer(socket: Socket, options: EvidenceOptions): void {
  const { sessions, count } = options;
  let greeted = false;
  socket.on('error', () => count('evidence.peer-error'));
  const deadline = setTimeout(() => refuse('late'), greetWithinMs);
  socket.on('close', () => clearTimeout(deadline));
  function refuse(why: string): void {
    count(`evidence.refused.${why}`);
    socket.destroy();
  }
  readFrame(socket, {
    onTooMuch: () => refuse('garbage'),
    onFrame: (packet) => {
      if (greeted) return refuse('garbage');
      const received = sessions.receive(packet, {
        source: `tcp ${socket.remoteAddress}`,
        now: options.now(),
      });
      if (received.kind === 'unproven') options.onUnproven(received.from);
      if (received.kind !== 'greet')
        return refuse(received.kind === 'refused' ? received.refusal : received.kind);
      greeted = true;
      clearTimeout(deadline);
      socket.setKeepAlive(true, 10_000);
      socket.write(frame(sessions.sealGreeting(received.from, received.nonce)));
      return undefined;
    },
  });
}

interface Watch {
  readonly leader: { readonly peer: string; readonly boot: string };
  abandon(): void;
}

/** The follower's side: connects, greets, waits for the end, and connects again while this leader is watched. */
function startWatch(leader: Watch['leader'], options: EvidenceOptions): Watch {
  const { sessions, now, count } = options;
  const address = options.peers.get(leader.peer);
  if (!address) throw new Error(`${leader.peer} is not a peer`);
  let abandoned = false;
  let againMs = againMsMin;
  let socket: Socket | undefined;
  let timer: NodeJS.Timeout | undefined;

  function connect(host: string, port: number): void {
    const startedAt = now();
    const nonce = options.nonce();
    let greeted = false;
    let errorCode = '';
    const attempt = createConnection({ host, port, noDelay: true });
    socket = attempt;
    // Ended by this side, which says nothing about the other.
    const giveUp = () => {
      greeted = false;
      attempt.destroy();
    };
    const deadline = setTimeout(giveUp, connectWithinMs);
    attempt.on('connect', () => {
      attempt.setKeepAlive(true, 10_000);
      attempt.write(frame(sessions.sealGreet(leader.peer, nonce)));
    });
    attempt.on('error', (error) => {
      errorCode = 'code' in error ? String(error.code) : 'unknown';
    });
    readFrame(attempt, {
      onTooMuch: giveUp,
      onFrame: (packet) => {
        const received = sessions.receive(packet, { source: `tcp ${host}:${port}`, now: now() });
        if (
          received.kind !== 'greeting' ||
          !received.nonce.equals(nonce) ||
          received.fromBoot !== leader.boot
        )
          return giveUp();
        greeted = true;
        againMs = againMsMin;
        clearTimeout(deadline);
        count('evidence.greeted');
        return undefined;
      },
    });
    attempt.on('close', () => {
      clearTimeout(deadline);
      if (abandoned) return;
      const lastArrivalAt = sessions.accepted(leader.peer)?.at ?? 0;
      // A network that lost the way (ETIMEDOUT, EHOSTUNREACH) says nothing about the process.
      if (greeted && (errorCode === '' || errorCode === 'ECONNRESET' || errorCode === 'EPIPE'))
        options.onDeath({ ...leader, why: 'its connection closed' });
      else if (errorCode === 'ECONNREFUSED' && lastArrivalAt < startedAt)
        options.onDeath({ ...leader, why: 'its port refused a connection' });
      timer = setTimeout(() => connect(host, port), againMs);
      againMs = Math.min(againMs * 2, againMsMax);
    });
  }
  connect(address.host, address.port);
  return {
    leader,
    abandon: () => {
      abandoned = true;
      clearTimeout(timer);
      socket?.destroy();
    },
  };
}

function frame(packet: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
}

/** Length as u16, then the packet; holds at most one packet's bytes. */
function readFrame(
  socket: Socket,
  { onFrame, onTooMuch }: { onFrame: (packet: Buffer) => void; onTooMuch: () => void },
): void {
  let held: Buffer = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    held = Buffer.concat([held, bytes]);
    if (held.length < 2) return;
    const length = held.readUInt16BE(0);
    if (length > packetLengthMax || held.length > length + 2) return onTooMuch();
    if (held.length < length + 2) return;
    const packet = held.subarray(2);
    held = Buffer.alloc(0);
    onFrame(packet);
  });
}
