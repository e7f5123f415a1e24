// One process per identity: see runtime/folder-lock.ts. Beside the lock stands who took it last, for whoever is refused.
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { lockFolder } from '../../runtime/folder-lock.ts';

/** @returns what gives it back. @throws Error that names the folder and the holder when another process holds it, or when it cannot be written. */
export function takeIdentityLock({ dataDir, nodeId }: { dataDir: string; nodeId: string }): () => void {
  const file = join(dataDir, 'identity.lock');
  const holder = join(dataDir, 'identity.holder');
  const unlock = lockFolder(
    file,
    `another process already runs as ${nodeId} on ${dataDir} (${holderIn(holder)} holds ${file}): stop it first, or give this one a folder of its own`,
  );
  try {
    writeFileSync(holder, `pid ${process.pid} on ${hostname()}\n`);
  } catch {
    // The lock is what counts.
  }
  return unlock;
}

function holderIn(file: string): string {
  try {
    return /^pid \d+ on [\w.-]{1,253}$/.exec(readFileSync(file, 'utf8').trim())?.[0] ?? 'it';
  } catch {
    return 'it';
  }
}
