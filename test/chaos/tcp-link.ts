// A TCP connection that can be cut or made a black hole, between a client of ours and a service. Carries bytes and knows
// nothing of them, so TLS stays end to end.
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { pause } from '../../runtime/waiting.ts';

const host = '127.0.0.1';

export class TcpLink {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #targetPort: number;
  #holds = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((client) => this.#carry(client));
  }

  static async open(targetPort: number): Promise<TcpLink> {
    const link = new TcpLink(targetPort);
    link.#server.listen({ host, port: 0 });
    await once(link.#server, 'listening');
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** For connections from now on. */
  leadTo(port: number): void {
    this.#targetPort = port;
  }

  /** Both ends see their connection break. @returns how many there were. */
  cut(): number {
    const count = this.#pairs.size;
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    return count;
  }

  /** Nothing passes for so long, or until the signal, and nobody is told. */
  async swallow(forMs: number, signal?: AbortSignal): Promise<void> {
    this.#holds += 1;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
    await pause(forMs, signal);
    this.#holds -= 1;
    if (this.#holds === 0) for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #carry(client: Socket): void {
    const service = connect({ host, port: this.#targetPort, noDelay: true });
    client.setNoDelay(true);
    const pair = [client, service] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [service, client] as const]) {
      from.on('data', (bytes) => {
        // Whoever does not read is not read from.
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => {
        if (this.#holds === 0) from.resume();
      });
      from.on('error', () => undefined); // 'close' follows.
      from.on('close', () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
      if (this.#holds > 0) from.pause();
    }
  }
}
