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

  // Bytes above 127 that form valid UTF-8 are UTF-8 whatever a single-byte label says.
  if (declared === undefined || declared === 'utf-8' || declared === 'windows-1252') {
    const { text, whole, broken } = asUtf8(bytes);
    if (broken === 0 || broken < whole) {
      const notes = [
        unknownNote,
        declared === 'windows-1252' && whole > 0 ? `labelled ${stated} and read as utf-8` : undefined,
        broken > 0 ? `${broken} of ${broken + whole} characters beyond ASCII are no utf-8` : undefined,
      ].filter((note) => note !== undefined);
      return { text, note: notes.length > 0 ? notes.join(', ') : undefined };
    }
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
/** Text of a single-byte charset has hardly a character that is one of UTF-8 too; a shop that cuts texts breaks a few. */
function asUtf8(bytes: Uint8Array): { text: string; whole: number; broken: number } {
  const text = new TextDecoder().decode(bytes);
  const beyond = text.match(/[^\0-\x7f]/gu) ?? [];
  const broken = beyond.filter((character) => character === '\ufffd').length;
  return { text, whole: beyond.length - broken, broken };
}
