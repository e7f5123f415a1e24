// One line of a service's log as people read it: our own lines are JSON, those of PostgreSQL and RabbitMQ begin with a time.
import { parseJson } from '../../runtime/parse-json.ts';
import { printable } from './table.ts';

export interface LogLine {
  readonly service: string;
  /** ISO 8601 in UTC; null where the line has no time. */
  readonly at: string | null;
  /** As it was printed. */
  readonly raw: string;
}

export function logLine(service: string, raw: string): LogLine {
  const fields = fieldsOf(raw);
  const said = fields?.['at'] ?? fields?.['time'] ?? leadingTime.exec(raw)?.groups?.['at'];
  const time = typeof said === 'string' ? Date.parse(said.replace(' UTC', 'Z').replace(' ', 'T')) : NaN;
  return { service, at: Number.isNaN(time) ? null : new Date(time).toISOString(), raw };
}

const leadingTime = /^(?<at>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d+(?: UTC|[+-]\d{2}:\d{2}))\s*/;

/** `12:00:05.123  node-1         role.changed to=leader term=3`; in UTC, as everything that is logged. */
export function logLineText({ service, at, raw }: LogLine): string {
  const time = at === null ? '' : at.slice(11, 23);
  return `${time.padEnd(12)}  ${service.padEnd(14)} ${messageText(raw)}\n`;
}

function messageText(raw: string): string {
  const fields = fieldsOf(raw);
  if (!fields) return printable(raw.replace(leadingTime, ''));
  const { level, type, msg, ...others } = fields;
  const more = Object.entries(others).flatMap(([name, value]) =>
    value === null || said.has(name) ? [] : [`${name}=${valueText(value)}`],
  );
  const first = [level === 'info' ? undefined : level, type, msg].filter((word) => word !== undefined);
  return printable([...first.map(valueText), ...more].join(' '));
}

/** In front of the line, or of no use to people. */
const said: ReadonlySet<string> = new Set(['at', 'time', 'process', 'event', 'version']);
const valueText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function fieldsOf(raw: string): Record<string, unknown> | undefined {
  const parsed = raw.startsWith('{') ? parseJson(raw) : undefined;
  return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
}
