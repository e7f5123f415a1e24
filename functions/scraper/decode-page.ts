// Bytes of a page to text: byte order mark, then the header's charset, then the page's own, then UTF-8; and
// what to do when the bytes contradict the label. Pure.

export interface Decoded {
  readonly text: string;
  /** Set when the label was unknown or wrong. */
  readonly note: string | undefined;
}

const prefixBytes = 1_024; // Where the HTML standard looks for a meta charset.

export function decodePage(bytes: Uint8Array, contentType: string | undefined): Decoded {
  const marked = byteOrderMark(bytes);
  if (marked !== undefined) return { text: new TextDecoder(marked).decode(bytes), note: undefined };
  const header = /charset\s*=\s*"?(?<label>[^\s;"]+)/iu.exec(contentType ?? '')?.groups?.['label'];
  const prefix = new TextDecoder('latin1').decode(bytes.subarray(0, prefixBytes));
  const meta = /<(?:meta|\?xml)[^>]*(?:charset|encoding)\s*=\s*["']?(?<label>[\w:.-]+)/iu.exec(prefix)
    ?.groups?.['label'];
  const stated = header ?? meta ?? 'utf-8';
  const declared = known(stated);
  const unknownNote = declared === undefined ? `unknown charset "${stated.slice(0, 40)}"` : undefined;

  const asUtf8 = strictUtf8(bytes);
  // Bytes above 127 that form valid UTF-8 are UTF-8 whatever a single-byte label says.
  if (
    asUtf8 !== undefined &&
    (declared === undefined || declared === 'utf-8' || declared === 'windows-1252')
  ) {
    const mislabelled = declared === 'windows-1252' && bytes.some((byte) => byte > 127);
    return { text: asUtf8, note: mislabelled ? `labelled ${stated} and read as utf-8` : unknownNote };
  }
  if (declared !== undefined && declared !== 'utf-8')
    return { text: new TextDecoder(declared).decode(bytes), note: undefined };
  const fallback = (meta === undefined ? undefined : known(meta)) ?? 'windows-1252';
  const used = fallback === 'utf-8' ? 'windows-1252' : fallback;
  return {
    text: new TextDecoder(used).decode(bytes),
    note: `${unknownNote ?? `labelled ${stated} without being it`}, read as ${used}`,
  };
}

function byteOrderMark(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  return undefined;
}
function known(label: string): string | undefined {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    return undefined; // Not a label of the Encoding standard; the caller says so in its note.
  }
}
function strictUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined; // Not UTF-8; the caller goes on with another charset.
  }
}
