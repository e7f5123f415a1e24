// The FTP server of the local mode: explicit TLS only (RFC 4217), passive only, one folder as its root.
// Never serves plain text logins or data, never follows a symbolic link, never shows half an upload, and keeps none of
// a client that died or gave up.
import { once } from 'node:events';
import { mkdir, readFile, realpath } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { fileBytesMax } from '../../../contracts/file.ts';
import type { FtpFault } from './faults.ts';
import { ControlConnection } from './control-connection.ts';

export interface FtpServerSettings {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Made when it is missing. */
  readonly root: string;
  readonly tls: { readonly certFile: string; readonly keyFile: string };
  readonly users: readonly { readonly username: string; readonly password: string }[];
  /** Read at every transfer; a test may change it. */
  readonly faults?: FtpFault[];
  readonly fileBytesMax?: number;
  readonly requireSessionReuse?: boolean;
}
export interface FtpServer {
  readonly name: 'ftp';
  /** host:port */
  readonly address: string;
  readonly port: number;
  /** Cuts every connection. */
  close(): Promise<void>;
}

const connectionsMax = 64;
const idleMs = 120_000;

export async function startFtpServer(settings: FtpServerSettings): Promise<FtpServer> {
  await mkdir(settings.root, { recursive: true });
  const session = {
    root: await realpath(settings.root),
    users: settings.users,
    faults: settings.faults ?? [],
    fileBytesMax: settings.fileBytesMax ?? fileBytesMax,
    idleMs,
    requireSessionReuse: settings.requireSessionReuse ?? false,
    // One context for both kinds of connection, so that data connections can resume the control session.
    secureContext: createSecureContext({
      cert: await readFile(settings.tls.certFile),
      key: await readFile(settings.tls.keyFile),
      minVersion: 'TLSv1.2',
    }),
  };
  const connections = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    if (connections.size >= connectionsMax) {
      socket.on('error', () => socket.destroy());
      socket.end('421 Too many connections\r\n');
      return;
    }
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    new ControlConnection(socket, session).start();
  });
  server.listen(settings.port, settings.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    name: 'ftp',
    address: `${settings.host}:${port}`,
    port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of connections) socket.destroy();
      await closed;
    },
  };
}
