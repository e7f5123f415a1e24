// A body read whole, up to a size: nobody outside decides how much memory it takes.

/** @throws Error naming `what` when it has more bytes; the stream is then closed. */
export async function readBounded(
  body: AsyncIterable<Uint8Array>,
  { bytesMax, what }: { bytesMax: number; what: string },
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop early ends the stream.
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`${what} has more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
