// Loads what only AWS needs, once a stage is named: its clients would make every local command slower, and they are not
// there after `npm ci --omit=dev`.

/** @throws Error saying what to install. */
export async function loadAws<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new Error('`--target aws:<stage>` needs what `npm ci` installs without --omit=dev', { cause });
  }
}
