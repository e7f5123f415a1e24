// One running system and its data folder: where things lie, and the record of what runs, which lets a later start end
// what a killed launcher left behind, and lets `status`, `kill` and `down` find a running one.
// Never starts or supervises anything.
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { parseJson } from '../../runtime/parse-json.ts';
import { pause } from '../../runtime/waiting.ts';
import { isAlive, signalTree } from './process-table.ts';

const identity = { pid: z.int().min(1), startedAt: z.string() };
export const instanceSchema = z.object({
  version: z.literal(1),
  launcher: z.object(identity),
  /** http://127.0.0.1:port, and the bearer token it wants. */
  control: z.object({ url: z.url(), token: z.string() }),
  groups: z.array(z.object({ name: z.string(), ...identity })),
});
export type InstanceRecord = z.infer<typeof instanceSchema>;

export interface Layout {
  readonly root: string;
  readonly secrets: string;
  readonly tls: string;
  readonly logs: string;
  readonly record: string;
  data(name: string): string;
}

export function layoutOf(folder: string): Layout {
  const root = resolve(folder);
  return {
    root,
    secrets: join(root, 'secrets'),
    tls: join(root, 'tls'),
    logs: join(root, 'logs'),
    record: join(root, 'instance.json'),
    data: (name) => join(root, 'data', name),
  };
}

/** @throws Error with what to do when the folder cannot be made, or holds what is not ours. */
export async function makeLayout(layout: Layout): Promise<void> {
  if (!isOurs(await readdir(layout.root).catch(() => [])))
    throw new Error(
      `${layout.root} holds other files than Baton's: name an empty or a new folder with --data, which it keeps for itself`,
    );
  try {
    // The database runs under a user of its own when we are root, and has to pass through the folders above its own. The
    // mode of a folder that was there before is its owner's.
    for (const folder of [layout.root, join(layout.root, 'data')])
      if ((await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined) await chmod(folder, 0o711);
    for (const folder of [layout.secrets, layout.tls, layout.logs])
      await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new Error(`the data folder ${layout.root} cannot be made: name another with --data`, { cause });
  }
}

/** Also one that a first start was cut off in. */
function isOurs(entries: readonly string[]): boolean {
  const ours = ['secrets', 'tls', 'logs', 'data'];
  return ours.every((name) => entries.includes(name)) || entries.every((name) => ours.includes(name));
}

/** Undefined when nothing is recorded, or the record is not ours to read. */
export async function readRecord(layout: Layout): Promise<InstanceRecord | undefined> {
  let text: string;
  try {
    text = await readFile(layout.record, 'utf8');
  } catch {
    return undefined; // No record: nothing ran here, or it ended in order.
  }
  const parsed = instanceSchema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : undefined;
}

/** Whole or not at all, and for this user's eyes only: it holds the control token. */
export async function writeRecord(layout: Layout, record: InstanceRecord): Promise<void> {
  const partial = `${layout.record}.part`;
  await writeFile(partial, JSON.stringify(record), { mode: 0o600 });
  await rename(partial, layout.record);
}

export async function removeRecord(layout: Layout): Promise<void> {
  await rm(layout.record, { force: true });
}

const goneWithinMs = 5_000;

/** Ends what a launcher that died left running. @returns the names of what was ended. @throws Error naming what does not end. */
export async function endLeftovers(record: InstanceRecord): Promise<string[]> {
  const left = record.groups.filter(isAlive);
  for (const { pid } of left) signalTree(pid, 'SIGKILL');
  const deadline = performance.now() + goneWithinMs;
  for (;;) {
    const alive = left.filter(isAlive);
    if (alive.length === 0) return left.map(({ name }) => name);
    if (performance.now() > deadline)
      throw new Error(
        `left over from an earlier start and not to be ended: ${alive.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')}`,
      );
    await pause(20);
  }
}
