// PostgreSQL refuses to run as root: then it runs as the system's user `postgres`, who must be able to reach its
// programs and its data. Never changes the mode of a folder that is not the database's own.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const userName = 'postgres';
const commandWithinMs = 10_000;

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** Undefined when we are not root: then PostgreSQL runs as we do. @throws Error when the user cannot be made. */
export async function databaseUser(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const found = await lookUp();
  if (found) return found;
  try {
    await run(
      'useradd',
      ['--system', '--user-group', '--no-create-home', '--shell', '/bin/false', userName],
      {
        timeout: commandWithinMs,
      },
    );
  } catch (cause) {
    throw new Error(
      `PostgreSQL refuses to run as root, and the user ${userName} cannot be made: create it (\`useradd --system ${userName}\`), or start as another user`,
      { cause },
    );
  }
  const made = await lookUp();
  if (!made) throw new Error(`the user ${userName} was made, but \`id\` does not know it`);
  return made;
}

async function lookUp(): Promise<SystemUser | undefined> {
  try {
    const ask = async (what: string) =>
      Number((await run('id', [what, userName], { timeout: commandWithinMs })).stdout.trim());
    return { uid: await ask('-u'), gid: await ask('-g') };
  } catch {
    return undefined; // `id` fails for a user that does not exist.
  }
}

/** What runs a program as the database's user; see asUser. */
export type RunAs = (
  file: string,
  args: readonly string[],
) => {
  readonly file: string;
  readonly args: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
};

const setpriv = '/usr/bin/setpriv';
const passCapabilities = '+dac_read_search'; // Passing through and reading, no more: what it writes is its own.

/**
 * A program as `user`, or as we are. Where the user may not pass through a folder above one of `paths` (a checkout below
 * /root), it gets the capability to do so, which root may hand on; the system's own modes stay as they are.
 * @throws Error that names the folder and what to do, when that cannot be done.
 */
export async function asUser(user: SystemUser | undefined, paths: readonly string[]): Promise<RunAs> {
  if (!user) return (file, args) => ({ file, args });
  const closed = (await Promise.all(paths.map((path) => closedFolder(path, user)))).find(
    (folder) => folder !== undefined,
  );
  if (closed === undefined) return (file, args) => ({ file, args, ...user });
  if (!existsSync(setpriv))
    throw new Error(
      `PostgreSQL runs as ${userName} because we are root, and ${userName} may not pass through ${closed}: install setpriv (util-linux), keep project and data elsewhere, or allow it with \`chmod o+x ${closed}\``,
    );
  return (file, args) => ({
    file: setpriv,
    args: [
      `--reuid=${user.uid}`,
      `--regid=${user.gid}`,
      '--clear-groups',
      `--inh-caps=${passCapabilities}`,
      `--ambient-caps=${passCapabilities}`,
      file,
      ...args,
    ],
  });
}

/** The first folder above `path` that keeps `user` out. */
async function closedFolder(path: string, user: SystemUser): Promise<string | undefined> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const passable = uid === user.uid ? mode & 0o100 : gid === user.gid ? mode & 0o010 : mode & 0o001;
    if (!passable) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}
