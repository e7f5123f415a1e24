// Many things, a few at a time.

/** @throws what the first that fails throws. Those beside it still take what is left: stop them with a signal where that matters. */
export async function inParallel<T>(
  things: Iterable<T>,
  atOnce: number,
  each: (thing: T) => Promise<void>,
): Promise<void> {
  const queue = Iterator.from(things);
  const worker = async (): Promise<void> => {
    for (const thing of queue) await each(thing);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
