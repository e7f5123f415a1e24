// One process per identity: an exclusive transaction on a small SQLite file, held for life. The kernel frees
// it with the process, however that ends; Node has no flock of its own. Stores nothing in the file.
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';

export interface IdentityLock {
  release(): void;
}

const sqliteBusy = 5; // https://www.sqlite.org/rescode.html#busy

/** @throws Error that names the folder when another process holds it, or when the folder cannot be written. */
export function takeIdentityLock({ dataDir, nodeId }: { dataDir: string; nodeId: string }): IdentityLock {
  const path = join(dataDir, 'identity.lock');
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy)
      throw new Error(
        `another process already runs as ${nodeId} on ${dataDir} (it holds ${path}): stop it first, or give this one a data folder of its own`,
        { cause: error },
      );
    throw new Error(`taking the identity lock ${path}`, { cause: error });
  }
  const held = database;
  return {
    release: () => {
      if (held.isOpen) held.close();
    },
  };
}
