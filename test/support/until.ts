/** Polls until `what` gives something other than undefined or false. @throws Error after `withinMs`. */
export async function until<T>(
  what: () => T | undefined | false,
  withinMs: number,
  name: string,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = what();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`${name}: not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
