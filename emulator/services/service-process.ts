// How every service of ours that `baton up` starts as a child process begins and ends: settings come as
// JSON in one variable, readiness is one JSON line on standard output, SIGTERM ends it.
import type { z } from 'zod';
import { createLogger, type Logger } from '../../runtime/logger.ts';
import { createLifecycle, type Closable } from '../../runtime/lifecycle.ts';
import { EnvironmentError } from '../../runtime/config.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';

export const serviceSettingsVariable = 'BATON_SERVICE_SETTINGS';

/** The line a supervisor waits for. `address` is what people see: a URL or host:port. */
export interface ReadyLine {
  readonly ready: true;
  readonly address: string;
}

/** @throws EnvironmentError (printed, exit 2) when the settings are missing or wrong. */
export async function runService<T>(
  name: string,
  settingsSchema: z.ZodType<T>,
  start: (settings: T, logger: Logger) => Promise<Closable & { address: string }>,
): Promise<void> {
  const logger = createLogger({ process: name });
  const lifecycle = createLifecycle({ logger, graceMs: 4_000 });
  const settings = settingsSchema.safeParse(JSON.parse(process.env[serviceSettingsVariable] ?? 'null'));
  if (!settings.success) {
    const problems = [`${serviceSettingsVariable}: ${describeIssues(issuesOf(settings.error))}`];
    process.stderr.write(`${new EnvironmentError(name, problems).message}\n`);
    process.exit(2);
  }
  const service = lifecycle.opened(await start(settings.data, logger));
  const line: ReadyLine = { ready: true, address: service.address };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
