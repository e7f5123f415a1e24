// A service that is a TypeScript process of ours, described for the supervisor. It gets the environment it is given and
// the few variables that every program needs, nothing else of the launcher's.
import { fileURLToPath } from 'node:url';
import { serviceSettingsVariable } from './service-process.ts';
import type { Service } from './service.ts';

export interface OwnService extends Pick<Service, 'name' | 'kind' | 'address' | 'about'> {
  readonly module: URL;
  /** Read by runService; without secrets, which travel as file: URIs. */
  readonly settings?: object;
  readonly env?: Readonly<Record<string, string>>;
  /** Options of Node itself. */
  readonly flags?: readonly string[];
  readonly startWithinMs?: number;
  readonly stopWithinMs?: number;
}

const inherited = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'LANG', 'SystemRoot', 'NODE_COMPILE_CACHE'];

export function ownService({
  module,
  settings,
  env,
  flags = [],
  startWithinMs,
  stopWithinMs,
  ...about
}: OwnService): Service {
  return {
    ...about,
    command: {
      file: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', ...flags, fileURLToPath(module)],
      env: {
        ...Object.fromEntries(
          inherited.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
        ),
        ...(settings === undefined ? {} : { [serviceSettingsVariable]: JSON.stringify(settings) }),
        ...env,
      },
    },
    startWithinMs: startWithinMs ?? 20_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: stopWithinMs ?? 3_000,
  };
}
