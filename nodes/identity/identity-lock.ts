// One process per identity: see runtime/folder-lock.ts.
import { join } from 'node:path';
import { lockFolder } from '../../runtime/folder-lock.ts';

/** @returns what gives it back. @throws Error that names the folder when another process holds it, or when it cannot be written. */
export function takeIdentityLock({ dataDir, nodeId }: { dataDir: string; nodeId: string }): () => void {
  const file = join(dataDir, 'identity.lock');
  return lockFolder(
    file,
    `another process already runs as ${nodeId} on ${dataDir} (it holds ${file}): stop it first, or give this one a folder of its own`,
  );
}
