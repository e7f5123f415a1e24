// One running system and its data folder: where things lie, and the record of what runs, which lets a later start end
// what a killed launcher left behind, and lets `status`, `kill` and `down` find a running one.
// Never starts or supervises anything.
import { chmod, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { writeWhole } from '../../runtime/write-file.ts';
import { lockFolder } from '../../runtime/folder-lock.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { pause } from '../../runtime/waiting.ts';
import { batonCommand } from './command-text.ts';
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
  /** How many nodes there are: see membership.ts. */
  readonly membership: string;
  /** Held by who starts, runs or clears up what is in the folder. */
  readonly lock: string;
  data(name: string): string;
}

const lockName = 'launcher.lock';
const recordName = 'instance.json';
const membershipName = 'nodes';

export function layoutOf(folder: string): Layout {
  const root = resolve(folder);
  return {
    root,
    secrets: join(root, 'secrets'),
    tls: join(root, 'tls'),
    logs: join(root, 'logs'),
    record: join(root, recordName),
    membership: join(root, membershipName),
    lock: join(root, lockName),
    data: (name) => join(root, 'data', name),
  };
}

/** Changes nothing. @throws Error with what to do when the folder is not ours, or another user's. */
export async function assertOurs(layout: Layout): Promise<void> {
  await assertSameUser(layout);
  if (!isOurs(await readdir(layout.root).catch(() => [])))
    throw new Error(
      `${layout.root} holds other files than Baton's: name an empty or a new folder with --data, which it keeps for itself`,
    );
}

/** @throws Error with what to do, before anything is changed, when the folder cannot be made, or is not ours. */
export async function makeLayout(layout: Layout): Promise<void> {
  await assertOurs(layout);
  try {
    // The database runs under a user of its own when we are root, and has to pass through the folders above its own. The
    // mode of a folder that was there before is its owner's.
    for (const folder of [layout.root, join(layout.root, 'data')])
      if (await makeFolder(folder)) await chmod(folder, 0o711);
    for (const folder of [layout.secrets, layout.tls, layout.logs]) await makeFolder(folder);
  } catch (cause) {
    throw new Error(`the data folder ${layout.root} cannot be made: name another with --data`, { cause });
  }
}

/** Not Node's recursive mkdir, to which a read-only file system is a missing folder. @returns whether it was made. */
async function makeFolder(folder: string): Promise<boolean> {
  const make = (): Promise<void> => mkdir(folder, { mode: 0o700 });
  try {
    await make();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return false;
    if (code !== 'ENOENT' || dirname(folder) === folder) throw error;
    await makeFolder(dirname(folder));
    await make();
  }
  return true;
}

/** Root would change owners so that the folder's own user could not go on; anybody else would get stuck half-way. */
async function assertSameUser(layout: Layout): Promise<void> {
  const us = process.getuid?.();
  const owner = (await stat(layout.data('')).catch(() => undefined))?.uid;
  if (us === undefined || owner === undefined || owner === us) return;
  const named = (uid: number): string => (uid === 0 ? 'root' : `the user with id ${uid}`);
  throw new Error(
    `${layout.root} belongs to ${named(owner)}, and this is ${named(us)}: start it as its owner, or name another folder with --data`,
  );
}

/** Also one that a first start was cut off in, or that lost a folder. */
function isOurs(entries: readonly string[]): boolean {
  const folders = ['secrets', 'tls', 'logs', 'data'];
  const ours = [...folders, lockName, recordName, membershipName];
  return (
    folders.every((name) => entries.includes(name)) ||
    entries.every((name) => ours.includes(name.replace(/\.part$/, '')))
  );
}

/**
 * One at a time: two that start on one folder would both take it for theirs.
 * @returns what gives it back, as the end of the process does. @throws Error with what to do when another one has it.
 */
export async function takeFolder(layout: Layout): Promise<() => void> {
  const record = await readRecord(layout);
  return lockFolder(
    layout.lock,
    record && isAlive(record.launcher)
      ? runsAlready(layout, record)
      : `another start or end is under way in ${layout.root}, or its instance.json was deleted: Ctrl-C ends it where it was started, or name another folder with --data`,
  );
}
export function runsAlready({ root }: Layout, { launcher }: InstanceRecord): string {
  return `Baton runs already in ${root} (pid ${launcher.pid}): \`${batonCommand('down', root)}\` ends it, or name another folder with --data`;
}

/** Undefined when nothing is recorded. @throws Error when nobody can say: it is not ours to read. */
export async function readRecord(layout: Layout): Promise<InstanceRecord | undefined> {
  let text: string;
  try {
    text = await readFile(layout.record, 'utf8');
  } catch (error) {
    // Nothing ran here, or it ended in order; or this is no folder at all.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw new Error(`nobody can say what runs in ${layout.root}: ${layout.record} cannot be read`, {
      cause: error,
    });
  }
  const parsed = instanceSchema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : undefined;
}

/** For this user's eyes only: it holds the control token. */
export async function writeRecord(layout: Layout, record: InstanceRecord): Promise<void> {
  await writeWhole(layout.record, JSON.stringify(record), { mode: 0o600, flush: false });
}

const writeAgainMs = 1_000;

/**
 * Keeps the record as it is now: of those that come while one is written, the newest alone follows, so that a slow disk does
 * not keep it waiting behind older ones. What cannot be written is tried again.
 */
export function keepRecord(layout: Layout, write: typeof writeRecord = writeRecord) {
  const closing = new AbortController();
  let newest: InstanceRecord | undefined;
  let writing: Promise<void> | undefined;
  async function writeNewest(): Promise<void> {
    while (newest !== undefined) {
      const record = newest;
      newest = undefined;
      const isWritten = await write(layout, record).then(
        () => true,
        () => false,
      );
      if (isWritten || closing.signal.aborted) continue;
      await pause(writeAgainMs, closing.signal);
      newest ??= record;
    }
    writing = undefined;
  }
  return {
    is(record: InstanceRecord): void {
      newest = record;
      writing ??= writeNewest();
    },
    /** Resolves when nothing is written any more. */
    async close(): Promise<void> {
      closing.abort();
      await writing;
    },
  };
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
