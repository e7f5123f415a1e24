// Columns for people: as wide as what stands in them, the last one cut at the edge of the terminal. Control characters of
// what strangers wrote do not reach it.

const widthWithoutTerminal = 160;

/** Numbers stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows.map((row) => row.map((cell) => printable(String(cell))))];
  const widths = head.map((_title, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const isNumber = head.map(
    (_title, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'),
  );
  return lines(
    cells.map((row) =>
      row
        .map((cell, column) =>
          isNumber[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  '),
    ),
  );
}

/** `name  value`, one below the other. */
export function facts(rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${printable(value)}\n`).join('');
}

export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ');
}

/** `2026-01-31 12:00:05` */
export function timeText(at: string): string {
  return at.replace('T', ' ').replace(/\.\d+Z$/, '');
}

export function plural(count: number, word: string): string {
  return `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;
}

function lines(texts: readonly string[]): string {
  const width = process.stdout.isTTY ? process.stdout.columns : widthWithoutTerminal;
  return texts
    .map((text) => {
      const line = `  ${text.trimEnd()}`;
      return `${line.length > width ? `${line.slice(0, width - 1)}…` : line}\n`;
    })
    .join('');
}
