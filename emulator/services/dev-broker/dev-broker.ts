// The development broker: AMQP 0-9-1 over TLS with user and password, for a laptop without RabbitMQ. Speaks what
// contracts/topology.ts and the clients here use, and refuses the rest with NOT_IMPLEMENTED, so that nothing works here
// that would mean something else there. A confirm means on disk. Never listens without TLS.
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { lockFolder } from '../../../runtime/folder-lock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { sameSecret } from '../../../runtime/same-secret.ts';
import type { Credentials } from '../../../contracts/secrets.ts';
import { Broker } from './broker.ts';
import { Connection } from './connection.ts';
import { limits, periods } from './limits.ts';

export interface DevBrokerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  readonly credentials: Credentials;
  readonly folder: string;
  readonly logger: Logger;
  /** The disk failed: the process has to end. */
  readonly onFatal: (error: Error) => void;
  /** Messages kept in memory beside the disk. */
  readonly cachedBytes?: number;
}

export interface DevBroker {
  readonly name: 'broker';
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

/** @throws Error when the folder is another broker's, what is in it cannot be read, or the port is taken. */
export async function startDevBroker(options: DevBrokerOptions): Promise<DevBroker> {
  const { host, port, folder, logger, onFatal } = options;
  const [cert, key] = await Promise.all([readFile(options.certFile), readFile(options.keyFile)]);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const unlock = lockFolder(join(folder, 'lock'), `another broker already runs on ${folder}`);
  try {
    const broker = await Broker.open({
      folder,
      onNotice: (text) => logger.warn(text),
      onFatal,
      ...(options.cachedBytes === undefined ? {} : { cachedBytes: options.cachedBytes }),
    });
    const connections = new Set<Connection>();
    const receiving = { bytesLeft: limits.receivingBytes };
    const server = createServer({
      cert,
      key,
      minVersion: 'TLSv1.2',
      handshakeTimeout: periods.loginMs,
      noDelay: true,
    });
    server.maxConnections = limits.connections;
    // With those that have not shaken hands yet.
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.on('drop', () => logger.warn(`a client was turned away: ${limits.connections} are connected`));
    server.on('tlsClientError', (error) => logger.debug(`a client failed to speak TLS: ${error.message}`));
    server.on('secureConnection', (socket) => {
      const mayLogIn = (given: Credentials): boolean => isSame(given, options.credentials);
      const connection = new Connection({ socket, broker, receiving, mayLogIn, logger });
      connections.add(connection);
      socket.on('close', () => connections.delete(connection));
    });
    server.listen(port, host);
    await once(server, 'listening');
    const taken = (server.address() as AddressInfo).port;
    return {
      name: 'broker',
      address: `amqps://${host}:${taken}`,
      port: taken,
      async close() {
        const closed = once(server, 'close');
        server.close();
        await Promise.all([...connections].map((connection) => connection.close()));
        for (const socket of sockets) socket.destroy();
        await closed;
        await broker.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

function isSame(given: Credentials, expected: Credentials): boolean {
  const login = ({ username, password }: Credentials): string => JSON.stringify([username, password]);
  return sameSecret(login(given), login(expected));
}
