// A copy of the sources with one safeguard taken out, in a temporary folder. Never touches the originals.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Core } from '../core.ts';
import type { Mutation } from './mutations.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const copiedForNodes = [
  'nodes',
  'contracts',
  'runtime',
  'test/unit',
  'test/integration/node',
  'test/simulation',
  'test/scenarios',
  'test/support',
];
const alsoCopied = ['package.json', 'tsconfig.json', 'vitest.config.ts'] as const;

export interface MutatedCopy extends AsyncDisposable {
  readonly folder: string;
}

/** @throws Error when the safeguard's text is not there, or is there twice: then nobody knows what would be tried. */
export async function mutatedCopy(
  { file: own, edits, safeguard }: Mutation,
  { below = 'nodes', copied = copiedForNodes }: { below?: string; copied?: readonly string[] } = {},
): Promise<MutatedCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'baton-mutation-'));
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 3 });
  try {
    for (const path of [...copied, ...alsoCopied])
      await cp(join(root, path), join(folder, path), { recursive: true });
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    await mutate({ edits, safeguard, file: own }, join(folder, below));
    return { folder, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** @throws Error as above */
export async function mutate({ file: own, edits, safeguard }: Mutation, folder: string): Promise<void> {
  for (const { find, replace, file = own } of edits) {
    const path = join(folder, file);
    const parts = (await readFile(path, 'utf8')).split(find);
    if (parts.length !== 2)
      throw new Error(
        `${safeguard}: ${file} has ${parts.length - 1} times, not once, what this mutation replaces: ${find}`,
      );
    await writeFile(path, parts.join(replace));
  }
}

/** The core of that copy. */
export async function coreOf({ folder }: MutatedCopy): Promise<Core> {
  const { productionCore } = (await import(pathToFileURL(join(folder, 'test/simulation/core.ts')).href)) as {
    productionCore: Core;
  };
  return productionCore;
}
