// One process per folder: an exclusive transaction on a small SQLite file, held for life. The kernel frees it with the
// process, however that ends; Node has no flock of its own. Stores nothing in the file.
import { DatabaseSync } from 'node:sqlite';

const sqliteBusy = 5; // https://www.sqlite.org/rescode.html#busy

/**
 * Takes the lock file `path`, making it when there is none.
 * @returns what gives it back; again does nothing.
 * @throws Error that says `taken` and the file when another process holds it, or names the file when it cannot be written.
 */
export function lockFolder(path: string, taken: string): () => void {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy)
      throw new Error(`${taken} (it holds ${path}): stop it first, or give this one a folder of its own`, {
        cause: error,
      });
    throw new Error(`taking the lock ${path}`, { cause: error });
  }
  const held = database;
  return () => {
    if (held.isOpen) held.close();
  };
}
