/** Those for which it holds, or all of them where it holds for none. */
export function prefer<T>(all: readonly T[], holds: (one: T) => boolean): readonly T[] {
  const those = all.filter(holds);
  return those.length > 0 ? those : all;
}
