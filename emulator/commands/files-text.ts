// Files as `baton files` prints them. Pure.
import type { FileView } from '../../contracts/public-api.ts';
import { printable, table, timeText } from './table.ts';

const head = ['FILE', 'STATE', 'AT (UTC)', 'ROWS', 'APPLIED', 'UNCHANGED', 'STALE', 'BAD', 'VANISHED'];

export function filesText(files: readonly FileView[]): string {
  if (files.length === 0) return 'No file came yet.\n';
  const shown = (count: number | null) => count ?? '-';
  const rows = files.map((file) => [
    file.name,
    file.state,
    timeText(file.at),
    ...[file.rows, file.applied, file.unchanged, file.stale, file.invalid, file.vanished].map(shown),
  ]);
  const told = files.flatMap(({ name, reason, incomplete, problems }) =>
    [reason, incomplete, ...problems]
      .filter((words) => words !== null)
      .map((words) => `  ${printable(name)}: ${printable(words)}\n`),
  );
  return `${table(head, rows)}${told.length === 0 ? '' : `\n${told.join('')}`}`;
}
