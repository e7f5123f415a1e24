// Brings all voters of a stopped cluster into one generation of its membership, on the machine that holds their data
// folders: each is recorded in the database and in its vote file, as its own start would do it. So no node of an older
// generation can elect beside a newer one, and all of them may then start at once. Doing it again changes nothing.
// A process of its own: settings as JSON in its argument, exit code 1 with the reason on stderr.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { describeError } from '../runtime/failure.ts';
import { createSecrets } from '../runtime/secrets.ts';
import { openDatabase } from './database/database.ts';
import { takeIdentityLock } from './identity/identity-lock.ts';
import { refuseForeignDatabase } from './identity/join-cluster.ts';
import { makeFirstVoteFile, openVoteFile, readIdentity } from './identity/vote-file.ts';

const settingsSchema = z.strictObject({
  cluster: z.string(),
  generation: z.int().min(1),
  voters: z.array(z.string()).min(1),
  /** Holds a folder for each node, by its id. */
  dataDir: z.string(),
  databaseUrl: z.string(),
  databasePasswordUri: z.string(),
  databaseCaUri: z.string(),
});
export type EnterGenerationSettings = z.infer<typeof settingsSchema>;

/** @throws Error naming the node that runs, or why this generation would not be safe. */
async function enterGeneration(settings: EnterGenerationSettings): Promise<void> {
  const { cluster, generation, voters } = settings;
  const secrets = createSecrets();
  const database = openDatabase({
    url: settings.databaseUrl,
    password: () => secrets.text(settings.databasePasswordUri),
    ca: await secrets.text(settings.databaseCaUri),
    applicationName: 'enter-generation',
  });
  const folderOf = (nodeId: string): string => join(settings.dataDir, nodeId);
  const unlocks: (() => void)[] = [];
  try {
    for (const nodeId of voters) {
      mkdirSync(folderOf(nodeId), { recursive: true, mode: 0o700 });
      unlocks.push(takeIdentityLock({ dataDir: folderOf(nodeId), nodeId }));
    }
    await database.migrate();
    const { clusterId } = await database.cluster(cluster);
    const recorded = await database.recorded();
    for (const nodeId of voters)
      refuseForeignDatabase(nodeId, readIdentity(folderOf(nodeId)), { clusterId, nodes: recorded.nodes });
    const members = voters.map((id) => ({ id, voter: true }));
    const termOf = (nodeId: string): number => readIdentity(folderOf(nodeId))?.term ?? 0;
    const generationOf = (nodeId: string): number => readIdentity(folderOf(nodeId))?.generation ?? 0;
    // The one that comes back first: the others are not admitted beside one that is far behind.
    for (const nodeId of voters.toSorted((one, other) => generationOf(one) - generationOf(other))) {
      if (!recorded.nodes.some(({ id }) => id === nodeId))
        makeFirstVoteFile({ dataDir: folderOf(nodeId), clusterId, nodeId });
      const { recordedTerm, termAtLeast } = await database.admit({
        nodeId,
        generation,
        members,
        term: termOf(nodeId),
      });
      openVoteFile({
        dataDir: folderOf(nodeId),
        clusterId,
        nodeId,
        generation,
        knownToDatabase: recordedTerm !== null,
        recordedTerm: recordedTerm ?? 0,
        termAtLeast,
      }).close();
    }
  } finally {
    for (const unlock of unlocks) unlock();
    await database.close();
  }
}

try {
  await enterGeneration(settingsSchema.parse(JSON.parse(process.argv[2] ?? '')));
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
}
