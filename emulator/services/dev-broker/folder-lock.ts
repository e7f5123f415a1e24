// One broker per folder: an exclusive transaction on a small SQLite file, held for life. The kernel frees it with the
// process, however that ends; Node has no flock of its own. Stores nothing in the file.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const sqliteBusy = 5; // https://www.sqlite.org/rescode.html#busy

/** @returns what gives it back. @throws Error naming the folder when another process holds it. */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'lock');
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy)
      throw new Error(
        `another broker already runs on ${folder} (it holds ${path}): stop it first, or give this one a folder of its own`,
        { cause: error },
      );
    throw error;
  }
  return () => {
    if (database.isOpen) database.close();
  };
}
