// One process per folder: an exclusive transaction on a small SQLite file, held for life. The kernel frees it with the
// process, however that ends; Node has no flock of its own. Stores nothing in the file.
import { DatabaseSync } from 'node:sqlite';

// https://www.sqlite.org/rescode.html
const sqliteBusy = 5;
const sqliteNotADatabase = 26;

/** Without a reference the collector of garbage closes a database, and lets go of what was to be held for life. */
const held = new Set<DatabaseSync>();

/**
 * Takes the lock file `path`, making it when there is none.
 * @returns what gives it back; again does nothing.
 * @throws Error that says `taken` when another process holds it, or names the file when it is no such file or cannot be written.
 */
export function lockFolder(path: string, taken: string): () => void {
  const database = tryToLock(path);
  if (!database) throw new Error(taken);
  held.add(database);
  return () => {
    if (held.delete(database)) database.close();
  };
}

/** Undefined when another process holds it. */
function tryToLock(path: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
    if (code === sqliteBusy) return undefined;
    if (code === sqliteNotADatabase)
      throw new Error(`the lock ${path} is damaged: delete it, nothing is kept in it`, { cause: error });
    throw new Error(`taking the lock ${path}`, { cause: error });
  }
}
