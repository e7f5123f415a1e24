// Writes down the bytes between processes: TCP through a port in between, and both the datagrams and the connections of
// two nodes that vote. Changes nothing of them, so TLS stays end to end.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { freePort } from './ports.ts';

const host = '127.0.0.1';
const bytesMax = 16 * 1024 * 1024; // Of a link and direction; what comes later is not written down.

export class Recorder {
  readonly #streams = new Map<string, { length: number; chunks: Buffer[] }[]>();
  readonly #open: (Server | DatagramSocket | Socket)[] = [];

  /** @returns the port whose connections lead to `port`. */
  async tcp(link: string, port: number): Promise<number> {
    const server = await this.#listen(link, () => port, 0);
    return (server.address() as AddressInfo).port;
  }

  /** Between the UDP ports of two nodes, and TCP of the same numbers. @returns where each finds the other. */
  async pair(link: string, one: number, other: number): Promise<readonly [number, number]> {
    const ends = [await bound(), await bound()] as const;
    const ports = ends.map((end) => end.address().port) as [number, number];
    for (const [index, end] of ends.entries()) {
      const stream = this.#stream(link);
      const [far, farPort] = index === 0 ? [ends[1], other] : [ends[0], one];
      // Where nobody listens yet a datagram is lost, as on any network.
      end.on('error', () => undefined);
      end.on('message', (packet) => {
        note(stream, packet);
        far.send(packet, farPort, host, () => undefined);
      });
      this.#open.push(end);
      await this.#listen(`${link} (connections)`, () => farPort, ports[index] ?? 0);
    }
    return ports;
  }

  /** Each link with what passed in each direction of each of its connections. */
  get links(): ReadonlyMap<string, readonly Buffer[]> {
    return new Map(
      [...this.#streams].map(([link, streams]) => [link, streams.map(({ chunks }) => Buffer.concat(chunks))]),
    );
  }

  close(): void {
    for (const one of this.#open) {
      if ('destroy' in one) one.destroy();
      else one.close();
    }
  }

  async #listen(link: string, target: () => number, port: number): Promise<Server> {
    const server = createServer((client) => {
      const service = connect({ host, port: target() });
      for (const [from, to] of [
        [client, service],
        [service, client],
      ] as const) {
        const stream = this.#stream(link);
        from.setNoDelay(true);
        from.on('data', (chunk: Buffer) => note(stream, chunk));
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        this.#open.push(from);
      }
    });
    server.listen({ host, port });
    await once(server, 'listening');
    this.#open.push(server);
    return server;
  }

  #stream(link: string): { length: number; chunks: Buffer[] } {
    const stream = { length: 0, chunks: [] };
    this.#streams.set(link, [...(this.#streams.get(link) ?? []), stream]);
    return stream;
  }
}

function note(stream: { length: number; chunks: Buffer[] }, chunk: Buffer): void {
  if (stream.length > bytesMax) return;
  stream.length += chunk.length;
  stream.chunks.push(Buffer.from(chunk));
}

async function bound(): Promise<DatagramSocket> {
  const socket = createSocket('udp4');
  socket.bind(await freePort(), host); // TCP is to have the same number.
  await once(socket, 'listening');
  return socket;
}

/** Which of the secrets stand in these bytes: as they are, or within base64, as SMTP and HTTP carry passwords. */
export function secretsIn(bytes: Buffer, secrets: readonly string[]): string[] {
  const plain = bytes.toString('latin1');
  const decoded = [...plain.matchAll(/[A-Za-z0-9+/]{8,}={0,2}/g)].map(([run]) =>
    Buffer.from(run, 'base64').toString('latin1'),
  );
  const all = [plain, ...decoded].join('\n');
  return secrets.filter((secret) => all.includes(Buffer.from(secret).toString('latin1')));
}
