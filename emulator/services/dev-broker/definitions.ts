// Exchanges, queues and bindings on disk: one JSON file, replaced as a whole. Messages are not in it.
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { exchangeTypes } from './routing.ts';
import { syncFolder } from './sync-folder.ts';

const definitionsSchema = z.strictObject({
  version: z.literal(1),
  /** Never used before, also not by a deleted queue: it names a folder. */
  nextQueueId: z.int().min(1),
  exchanges: z.array(z.strictObject({ name: z.string(), type: z.enum(exchangeTypes) })),
  queues: z.array(
    z.strictObject({
      name: z.string(),
      id: z.int().min(1),
      arguments: z.record(z.string(), z.union([z.string(), z.number()])),
    }),
  ),
  bindings: z.array(z.strictObject({ exchange: z.string(), queue: z.string(), routingKey: z.string() })),
});
export type Definitions = Readonly<z.infer<typeof definitionsSchema>>;

const fileName = 'definitions.json';
const queueFolderName = /^queue-\d+$/;

export const noDefinitions: Definitions = {
  version: 1,
  nextQueueId: 1,
  exchanges: [],
  queues: [],
  bindings: [],
};

/** @throws Error naming the file when it cannot be understood, or is missing beside queues. */
export async function readDefinitions(folder: string): Promise<Definitions> {
  const path = join(folder, fileName);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    const queueFolders = (await readdir(folder)).filter((name) => queueFolderName.test(name));
    if (queueFolders.length === 0) return noDefinitions;
    throw new Error(
      `${path} is missing, and without it nobody can tell which queue ${queueFolders.join(', ')} beside it belong to. Restore it from a copy; or, to begin without these messages, move the folders away`,
      { cause: error },
    );
  }
  try {
    return definitionsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(
      `${path} cannot be understood: it was written by a newer version, or changed by hand. Restore it from a copy; without it the queues beside it cannot be told apart`,
      { cause },
    );
  }
}

/** On disk when it resolves; the old file is whole until then. */
export async function writeDefinitions(folder: string, definitions: Definitions): Promise<void> {
  const path = join(folder, fileName);
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(definitions, undefined, 1)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  await syncFolder(folder);
}

/** Where the journal of a queue lies. */
export function queueFolder(folder: string, id: number): string {
  return join(folder, `queue-${id}`);
}

/** Removes what is left of queues whose deletion was cut off. */
export async function removeStrays(folder: string, { queues }: Definitions): Promise<void> {
  const known = new Set(queues.map(({ id }) => queueFolder(folder, id)));
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (queueFolderName.test(name) && !known.has(path)) await rm(path, { recursive: true, force: true });
  }
}
