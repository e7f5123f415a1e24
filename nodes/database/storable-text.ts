// Text of strangers as a text column takes it: PostgreSQL refuses U+0000 and what is no Unicode. Pure.

export function storableText(text: string): string {
  return text.replaceAll('\0', '\u{fffd}').toWellFormed();
}
