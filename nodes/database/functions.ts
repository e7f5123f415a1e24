// The functions in the database: functions/*.sql, put there when this release starts on a database that has those of an older
// one. Of two releases the newer is the one with more migrations, then the one with the higher version; the database records whose
// functions are in force. An older release leaves those of a newer one alone: nodes are replaced one by one, and one of the older
// release that crashes meanwhile starts again beside the new ones. So both releases run on either one's functions, and what
// changes its parameters or its result becomes a function of another name; the release after the next one drops the old one.
// Of one version and other functions, as between two commits, whoever starts last puts its own there.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClientBase } from 'pg';

const folder = fileURLToPath(new URL('functions', import.meta.url));
const manifest = new URL('../../package.json', import.meta.url);

interface FunctionsInForce {
  /** Number of the newest migration, then the three of the version. */
  readonly release: readonly number[];
  readonly sha256: string;
}
export interface OwnFunctions extends FunctionsInForce {
  readonly sql: string;
}

/** @param migrations - names of this release's, in order. */
export async function readFunctions(migrations: readonly string[]): Promise<OwnFunctions> {
  const files = (await readdir(folder)).toSorted();
  const sql = (await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))).join('\n');
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  return {
    release: [
      Number.parseInt(migrations.at(-1) ?? '', 10),
      ...version.split('.', 3).map((part) => Number.parseInt(part, 10)),
    ],
    sha256: createHash('sha256').update(sql).digest('hex'),
    sql,
  };
}

/** Whether the database has these functions, or those of a newer release. To be asked of a migrated database. */
export async function areInForce(client: ClientBase, own: OwnFunctions): Promise<boolean> {
  const { rows } = await client.query<FunctionsInForce>('SELECT release, sha256 FROM functions_in_force');
  const [inForce] = rows;
  if (!inForce) return false;
  const order = compare(inForce.release, own.release);
  return order > 0 || (order === 0 && inForce.sha256 === own.sha256);
}

/** Who calls one meanwhile gets the one before. In the transaction of the migrations, and under their lock. */
export async function putFunctions(
  client: ClientBase,
  { release, sha256, sql }: OwnFunctions,
): Promise<void> {
  await client.query(sql);
  await client.query(
    `INSERT INTO functions_in_force (id, release, sha256) VALUES (1, $1, $2)
     ON CONFLICT (id) DO UPDATE SET release = excluded.release, sha256 = excluded.sha256, since = clock_timestamp()`,
    [release, sha256],
  );
}

function compare(one: readonly number[], other: readonly number[]): number {
  const place = one.findIndex((part, index) => part !== other[index]);
  return place < 0 ? 0 : (one[place] ?? 0) - (other[place] ?? 0);
}
