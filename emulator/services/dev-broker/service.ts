// The development broker as a service of `baton up`. Its password lies in a file, never in a command line or a variable.
import { ownService } from '../own-service.ts';
import type { Service } from '../service.ts';

export interface DevBrokerServiceOptions {
  readonly folder: string;
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  /** JSON: { "username", "password" } */
  readonly credentialsFile: string;
}

export function devBrokerService(options: DevBrokerServiceOptions): Service {
  const { folder, port, certFile, keyFile, credentialsFile } = options;
  return ownService({
    name: 'broker',
    kind: 'broker',
    address: `amqps://127.0.0.1:${port}`,
    about: 'development broker',
    module: new URL('main.ts', import.meta.url),
    settings: { port, certFile, keyFile, credentialsFile, folder },
    // It reads its whole journal first.
    startWithinMs: 60_000,
  });
}
