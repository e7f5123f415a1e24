// One passive data connection: opened by EPSV or PASV, taken by the next transfer, then gone. Accepts only the
// address of the control connection, and only TLS.
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { TLSSocket, type SecureContext } from 'node:tls';
import { FtpReply } from './reply.ts';

const connectMs = 10_000; // From the command to the client's connection.

export interface DataSettings {
  readonly secureContext: SecureContext;
  readonly idleMs: number;
  /** Refuse a data connection that does not resume the control connection's TLS session, as vsftpd does. */
  readonly requireSessionReuse: boolean;
}
export interface DataConnection {
  readonly stream: TLSSocket;
  /** Ends it with an RST. */
  reset(): void;
}
export interface Passive {
  readonly port: number;
  take(): Promise<DataConnection>;
  close(): void;
}

export async function listenPassive(
  host: string,
  peer: string | undefined,
  settings: DataSettings,
): Promise<Passive> {
  const waiting = Promise.withResolvers<Socket>();
  waiting.promise.catch(() => undefined); // Nobody may ever ask for it.
  let accepted: Socket | undefined;
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    if (accepted || socket.remoteAddress !== peer) {
      socket.destroy();
      return;
    }
    accepted = socket;
    socket.on('error', () => socket.destroy());
    server.close();
    waiting.resolve(socket);
  });
  server.listen(0, host, 1);
  await once(server, 'listening');
  server.on('error', (error) => waiting.reject(error));
  return {
    port: (server.address() as AddressInfo).port,
    async take() {
      const timer = setTimeout(() => waiting.reject(new FtpReply(425, 'No data connection came')), connectMs);
      try {
        return await secure(await waiting.promise, settings);
      } finally {
        clearTimeout(timer);
        server.close();
      }
    },
    close() {
      server.close();
      accepted?.destroy();
      waiting.reject(new FtpReply(425, 'The data connection was closed'));
    },
  };
}

async function secure(socket: Socket, settings: DataSettings): Promise<DataConnection> {
  const stream = new TLSSocket(socket, { isServer: true, secureContext: settings.secureContext });
  const ready = Promise.withResolvers<void>();
  stream.once('secure', () => ready.resolve());
  stream.on('error', (error) => ready.reject(error));
  stream.once('close', () => ready.reject(new FtpReply(425, 'The data connection closed before TLS')));
  const timer = setTimeout(() => ready.reject(new FtpReply(425, 'TLS took too long')), connectMs);
  try {
    await ready.promise;
  } catch (error) {
    socket.destroy();
    throw error instanceof FtpReply ? error : new FtpReply(522, 'TLS is required on the data connection');
  } finally {
    clearTimeout(timer);
  }
  if (settings.requireSessionReuse && !stream.isSessionReused()) {
    socket.destroy();
    throw new FtpReply(522, "The data connection has to resume the control connection's TLS session");
  }
  stream.setTimeout(settings.idleMs, () => stream.destroy(new Error('idle')));
  return { stream, reset: () => socket.resetAndDestroy() };
}
