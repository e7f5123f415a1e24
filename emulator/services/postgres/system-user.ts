// PostgreSQL refuses to run as root: then it runs as the system's user `postgres`, who must be able to reach its
// programs and its data. Never changes the mode of a folder that is not the database's own.
import { execFile } from 'node:child_process';
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

/** @throws Error that names the folder which keeps `user` from `path`, and what to do about it. */
export async function assertReachable(path: string, user: SystemUser, remedy: string): Promise<void> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const passable = uid === user.uid ? mode & 0o100 : gid === user.gid ? mode & 0o010 : mode & 0o001;
    if (!passable)
      throw new Error(
        `PostgreSQL runs as ${userName} because we are root, and ${userName} may not pass through ${folder} (mode ${(mode & 0o777).toString(8)}): ${remedy}, or allow it with \`chmod o+x ${folder}\``,
      );
    if (folder === dirname(folder)) return;
  }
}
