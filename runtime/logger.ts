// NDJSON on standard output: one line per event of contracts/event.ts or per message. Logs hold no
// secrets and no addresses of people.
import { pino, type Logger as PinoLogger } from 'pino';
import { batonEventSchema, eventVersion, type BatonEvent, type EventDraft } from '../contracts/event.ts';
import { parseJson } from './parse-json.ts';

export type Emit = (event: EventDraft) => void;

export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
  /** Logs a typed event and hands it to every listener. */
  readonly emit: Emit;
  onEvent(listener: (event: BatonEvent) => void): () => void;
}

export function createLogger(options: {
  process: string;
  level?: string;
  write?: (line: string) => void;
}): Logger {
  const destination = options.write ? { write: options.write } : pino.destination({ fd: 1, sync: true });
  const log: PinoLogger = pino(
    {
      level: options.level ?? 'info',
      base: { process: options.process },
      timestamp: () => `,"at":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    destination,
  );
  const listeners = new Set<(event: BatonEvent) => void>();
  const emit: Emit = (draft) => {
    const event = {
      version: eventVersion,
      at: new Date().toISOString(),
      process: options.process,
      ...draft,
    } as BatonEvent;
    const { at: _at, process: _process, ...fields } = event;
    log.info({ event: true, ...fields });
    for (const listener of listeners) listener(event);
  };
  return {
    debug: (message, fields = {}) => log.debug(fields, message),
    info: (message, fields = {}) => log.info(fields, message),
    warn: (message, fields = {}) => log.warn(fields, message),
    error: (message, fields = {}) => log.error(fields, message),
    emit,
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The event in a line of a log. Undefined when it is a message, a crash trace or a foreign program's line. */
export function parseEventLine(line: string): BatonEvent | undefined {
  return batonEventSchema.safeParse(parseJson(line)).data;
}
