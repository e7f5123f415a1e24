// JSON-LD as shops write it to JSON: without comments, CDATA marks and separators that nothing follows, and with the line breaks
// and tabs in its strings escaped. Changes nothing within a string but these. Pure.

// Strings are matched first, so that nothing in them counts. What never ends goes on to the end of the text.
const pieces = [
  String.raw`(?<string>"[^"\\]*(?:\\[^][^"\\]*)*(?:"|$))`,
  String.raw`(?:\/\/|\/\*)?\s?(?:<!\[CDATA\[|\]\]>|<!--|-->)(?:\s?\*\/)?`,
  String.raw`\/\*(?:(?!\*\/)[^])*(?:\*\/|$)`,
  String.raw`\/\/[^\n]*`,
  String.raw`[,;](?=\s*(?:[\]}]|$))`,
];
const piece = new RegExp(pieces.join('|'), 'gu');

export function repairJson(text: string): string {
  return text.replace(piece, (_, string: string | undefined) =>
    string === undefined ? '' : string.replace(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1)),
  );
}
