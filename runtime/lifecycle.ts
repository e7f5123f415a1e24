// How a long-lived process ends: signals, a bound on how long that may take, and what happens when something
// unexpected is thrown. Things are closed in reverse order of their opening.
import type { Logger } from './logger.ts';
import { describeError } from './failure.ts';

export interface Closable {
  readonly name: string;
  close(): Promise<void> | void;
}

/** Runs until SIGTERM or SIGINT, then closes everything in reverse; exits 1 when that takes over `graceMs`. */
export function createLifecycle({ logger, graceMs }: { logger: Logger; graceMs: number }) {
  const opened: Closable[] = [];
  let stopping: Promise<void> | undefined;

  async function stop(reason: string, exitCode: number): Promise<void> {
    stopping ??= (async () => {
      logger.emit({ type: 'process.stopping', reason });
      const deadline = setTimeout(() => {
        logger.error(`not closed after ${graceMs} ms, exiting all the same`, {
          waitingFor: opened.at(-1)?.name,
        });
        process.exit(1);
      }, graceMs);
      deadline.unref();
      for (let last = opened.at(-1); last; last = opened.at(-1)) {
        try {
          await last.close();
        } catch (error) {
          logger.warn(`closing ${last.name} failed: ${describeError(error)}`);
        }
        opened.pop();
      }
      process.exit(exitCode);
    })();
    await stopping;
  }

  process.once('SIGTERM', () => void stop('SIGTERM', 0));
  process.once('SIGINT', () => void stop('SIGINT', 0));
  // Anything nobody handled is a broken promise of ours: say so and let the supervisor start us again.
  process.on('uncaughtException', (error) => {
    logger.error(`uncaught: ${describeError(error)}`, { stack: error.stack });
    void stop('uncaught exception', 1);
  });
  process.on('unhandledRejection', (error) => {
    logger.error(`unhandled rejection: ${describeError(error)}`, {
      stack: error instanceof Error ? error.stack : undefined,
    });
    void stop('unhandled rejection', 1);
  });

  return {
    opened<T extends Closable>(thing: T): T {
      opened.push(thing);
      return thing;
    },
    stop,
  };
}
