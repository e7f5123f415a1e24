// One process per identity: see runtime/folder-lock.ts.
import { join } from 'node:path';
import { lockFolder } from '../../runtime/folder-lock.ts';

/** @returns what gives it back. @throws Error that names the folder when another process holds it, or when it cannot be written. */
export const takeIdentityLock = ({ dataDir, nodeId }: { dataDir: string; nodeId: string }): (() => void) =>
  lockFolder(join(dataDir, 'identity.lock'), `another process already runs as ${nodeId} on ${dataDir}`);
