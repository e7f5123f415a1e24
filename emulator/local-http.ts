// What every plain HTTP server of the emulator shares: it listens on loopback, or in a container of its own, refuses
// other sites' pages and rebound names, and reads bodies up to a cap. Knows no routes.
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { isLoopback, loopbackHosts } from '../contracts/environment.ts';

export interface LocalAddress {
  readonly host: string;
  readonly port: number;
  /**
   * As what other containers of one private network ask this one. With such a name it may listen beyond loopback: from
   * outside of that network it is reached through a port published on the machine's loopback, or not at all.
   */
  readonly containerName?: string | undefined;
}

/** @throws Error for an address that others can reach: these servers speak no TLS, and most know no tokens. */
export async function listenLocally(
  listener: RequestListener,
  { host, port, containerName }: LocalAddress,
): Promise<{ server: Server; port: number }> {
  if (containerName === undefined && !isLoopback(host))
    throw new Error(
      `this server speaks plain HTTP, so it listens on loopback only, ${host} is not: use 127.0.0.1`,
    );
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 60_000 }, listener);
  server.listen(port, host);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** Open connections are cut: what mattered in them has been answered by then. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise((resolve) => {
    server.close(resolve);
  });
  server.closeAllConnections();
  await closed;
}

/** False for a name that was rebound to loopback, and for a page of another site. */
export function isLocalRequest(request: IncomingMessage, containerName?: string): boolean {
  const { host = '', origin } = request.headers;
  const name = URL.parse(`http://${host}`)?.hostname ?? '';
  return (
    (loopbackHosts.includes(name) || (containerName !== undefined && name === containerName)) &&
    (origin === undefined || URL.parse(origin)?.host === host) &&
    request.headers['sec-fetch-site'] !== 'cross-site'
  );
}

/** The body, or how many bytes it had at least when it is over the cap; the rest is thrown away. */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | number> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= bytesMax) chunks.push(chunk);
    else chunks.length = 0;
    // Read to its end within reason, since a caller that is cut off while it sends never sees the answer.
    if (bytes > 4 * bytesMax) break;
  }
  return bytes > bytesMax ? bytes : Buffer.concat(chunks, bytes);
}

export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/json',
    'content-length': bytes.length,
  });
  response.end(bytes);
}
