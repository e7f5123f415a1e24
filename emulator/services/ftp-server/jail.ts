// From a path as a client says it to a path on disk, and never outside of the root: `..` ends at the root,
// control characters are refused, and a symbolic link is never followed, whoever made it.
import { lstat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { FtpReply } from './reply.ts';

const pathLengthMax = 1_024;
const nameBytesMax = 255; // The limit of the usual file systems.

/** The absolute path inside the jail: `/in/a.csv`. @throws FtpReply 553 for a name no file may have. */
export function virtualPath(cwd: string, said: string): string {
  if (said.length > pathLengthMax) throw new FtpReply(553, `Path is longer than ${pathLengthMax} characters`);
  if (/\p{Cc}/u.test(said)) throw new FtpReply(553, 'Path holds control characters');
  const path = posix.resolve('/', cwd, said);
  if (path.split('/').some((name) => Buffer.byteLength(name) > nameBytesMax))
    throw new FtpReply(553, `A name is longer than ${nameBytesMax} bytes`);
  return path;
}

/** @throws FtpReply 550 when any part of it is a symbolic link. A path that does not exist is fine. */
export async function diskPath(root: string, path: string): Promise<string> {
  let current = root;
  for (const name of path.split('/').filter(Boolean)) {
    current = join(current, name);
    const stats = await lstat(current).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (stats === undefined) return join(root, path);
    if (stats.isSymbolicLink()) throw new FtpReply(550, 'Symbolic links are not followed');
  }
  return current;
}
