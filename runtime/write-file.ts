// Writes a whole file or none: beside its place as `.part`, then renamed into it, so that nobody reads half of one. For one
// writer at a time; what a killed one left is overwritten by the next.
import { open, rename } from 'node:fs/promises';

export interface WriteOptions {
  readonly mode: number;
  /** On disk before its name, for what has to outlive a power cut. */
  readonly flush: boolean;
}

export async function writeWhole(
  file: string,
  content: string | Uint8Array,
  { mode, flush }: WriteOptions,
): Promise<void> {
  const part = `${file}.part`;
  const handle = await open(part, 'w', mode);
  try {
    await handle.writeFile(content);
    if (flush) await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(part, file);
}
