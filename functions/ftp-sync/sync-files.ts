// Takes files from in/ to the leader under a lease, those of one source one by one in the order of their times, and moves
// each to done/ or rejected/ after the leader has said what became of it. What fails for a passing reason stays in in/ for
// the next tick. From its opening on a file is called after its ledger row, so that a producer who writes the name again
// replaces nothing that is being read. Never deletes or overwrites a file.
import { Readable, type PassThrough } from 'node:stream';
import { folders } from '../../contracts/file.ts';
import {
  fileAnswerSchema,
  fileOpenAnswerSchema,
  routes,
  type FileOpenAnswer,
  type FileOpenRequest,
  type FileOutcome,
} from '../../contracts/node-api.ts';
import { codeOf, describeError, Failure } from '../../runtime/failure.ts';
import { inParallel } from '../../runtime/in-parallel.ts';
import type { InternalAnswer, InternalRequest } from '../../runtime/internal-http.ts';
import type { Logger } from '../../runtime/logger.ts';
import { pause } from '../../runtime/waiting.ts';
import { isForAPerson } from '../is-for-a-person.ts';
import type { LeaderClient } from '../leader-client.ts';
import type { FtpClient } from './ftp-client.ts';
import { bySource, fileIdOf, givenName, isStable, judgeName, takenName, type Look } from './plan-transfer.ts';
import { multipartBody } from './upload.ts';

export interface SyncPorts {
  readonly leader: Pick<LeaderClient, 'call' | 'download'>;
  readonly ftp: FtpClient;
  readonly logger: Logger;
}
export interface Work {
  readonly deadline: number;
  readonly traceparent: string;
  /** Aborted when the lease is lost. */
  readonly signal: AbortSignal;
}
export interface SyncCounts {
  applied: number;
  rejected: number;
  /** Left in in/: still growing, or failed for a reason that may pass. */
  left: number;
}

const betweenLooksMs = 2_100; // At least 2 s: MDTM has whole seconds on some servers.
const filesMax = 1_000; // Of one source in one run; the next tick goes on.
const workersMax = 3;
const callTimeoutMs = 10_000;
const uploadTimeoutMs = 600_000;
/** One file that fails, for whatever reason, must not take the whole run from those behind it. */
const triesOfCallMs = 60_000;

interface Found {
  /** As it lies in in/. */
  readonly name: string;
  readonly look: Look;
}

/** Everything that lies in in/ and is stable. */
export async function syncAll(ports: SyncPorts, work: Work): Promise<SyncCounts> {
  const counts: SyncCounts = { applied: 0, rejected: 0, left: 0 };
  const names: string[] = [];
  for (const name of await ports.ftp.list(folders.in)) {
    const verdict = judgeName(givenName(name));
    if (verdict.kind === 'unsafe') {
      counts.left += 1;
      ports.logger.emit({
        type: 'problem',
        code: 'FILE_MALFORMED',
        detail: `${JSON.stringify(name.slice(0, 80))} in ${folders.in}/ is left alone: ${verdict.reason}`,
      });
    } else if (verdict.kind !== 'ignore') names.push(name);
  }
  const chosen = ofOneRun(names);
  if (chosen.length === 0) return counts;
  const first = await looksAt(ports.ftp, chosen);
  const oldest = bySource(first).flatMap((files) => inOrder(files).slice(0, filesMax));
  await pause(betweenLooksMs, work.signal);
  work.signal.throwIfAborted();
  const again = await looksAt(
    ports.ftp,
    oldest.map(({ name }) => name),
  );
  const second = new Map(again.map(({ name, look }) => [name, look]));
  const stable = oldest.filter(({ name, look }) => isStable(look, second.get(name)));
  counts.left += oldest.length - stable.length;
  await syncFound(ports, work, stable, counts);
  return counts;
}

/** Whole sources, since the oldest file of one has to be opened first; those of few files first, so that none waits for ever. */
function ofOneRun(names: readonly string[]): string[] {
  const chosen: string[] = [];
  const sources = bySource(names.map((name) => ({ name })));
  for (const files of sources.toSorted((left, right) => left.length - right.length)) {
    if (chosen.length >= filesMax) break;
    for (const { name } of files) chosen.push(name);
  }
  return chosen;
}

/** The leader numbers files as they are opened, and what has the higher number wins. */
function inOrder(files: readonly Found[]): Found[] {
  return files.toSorted(
    (left, right) =>
      left.look.modifiedAt.getTime() - right.look.modifiedAt.getTime() || (left.name < right.name ? -1 : 1),
  );
}

/** One file that is known to be whole: no second look. Nothing when it is not there (any more). */
export async function syncOne(ports: SyncPorts, work: Work, given: string): Promise<SyncCounts> {
  const counts: SyncCounts = { applied: 0, rejected: 0, left: 0 };
  assertUsable(given);
  // An earlier try may have opened it.
  const names = (await ports.ftp.list(folders.in)).filter(
    (name) => name === given || givenName(name) === given,
  );
  await syncFound(ports, work, await looksAt(ports.ftp, names), counts);
  return counts;
}

/** Moves a rejected file back to in/ and takes it: the ledger knows it by what it is called in both, and keeps its place. */
export async function retryRejected(ports: SyncPorts, work: Work, name: string): Promise<SyncCounts> {
  assertUsable(name);
  const fileId = fileIdOf(name);
  if (fileId === undefined)
    throw new Failure(
      'MESSAGE_MALFORMED',
      `${name} is no name that a rejected file has: see its ${folders.rejected}/`,
    );
  const from = `${folders.rejected}/${name}`;
  // Only what the ledger knows to lie there is a new try. Whoever moved it may have died before saying so.
  if (await ports.ftp.look(from))
    await noteOutcome(ports, work, fileId, { movedTo: from, reason: null }).catch((error: unknown) => {
      if (codeOf(error) !== 'NOT_FOUND') throw error; // The ledger has forgotten it, and will take it for a new one.
    });
  await move(ports.ftp, { from, to: `${folders.in}/${name}` });
  await ports.ftp.remove(`${folders.rejected}/${reasonName(name)}`);
  return await syncOne(ports, work, name);
}

function assertUsable(name: string): void {
  const verdict = judgeName(givenName(name));
  if (verdict.kind === 'unsafe' || verdict.kind === 'ignore')
    throw new Failure(
      'MESSAGE_MALFORMED',
      `file name ${JSON.stringify(name)}: ${verdict.kind === 'unsafe' ? verdict.reason : 'dot and part files are not taken'}`,
    );
}

/** Sources side by side; of one source the oldest file first. */
async function syncFound(
  ports: SyncPorts,
  work: Work,
  found: readonly Found[],
  counts: SyncCounts,
): Promise<void> {
  await inParallel(bySource(found), workersMax, async (files) => {
    for (const [index, file] of inOrder(files).entries()) {
      const became = await syncFile(ports, work, file);
      if (became === 'unopened') {
        counts.left += files.length - index; // The newer ones wait for this one.
        return;
      }
      counts[became] += 1;
    }
  });
}

/** `unopened`: nobody has said anything about it yet. */
async function syncFile(ports: SyncPorts, work: Work, file: Found): Promise<keyof SyncCounts | 'unopened'> {
  if (work.signal.aborted || performance.now() > work.deadline) return 'unopened';
  let opened: FileOpenAnswer | undefined;
  try {
    opened = await openFile(ports, work, file);
    return await takeFile(ports, work, file, opened);
  } catch (error) {
    const detail = `${file.name} stays in ${folders.in}/ for the next tick: ${describeError(error)}`;
    // What nobody expected may stand in the way at each tick.
    if (isForAPerson(error) || (error instanceof Failure && error.code === 'INTERNAL'))
      ports.logger.emit({ type: 'problem', code: codeOf(error), detail });
    else ports.logger.warn(detail);
    return opened || isRefusal(error) ? 'left' : 'unopened';
  }
}

/** Of this very file by the leader, so that it may be so for ever; else nobody answered, or asked for patience. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Failure) || error.code === 'API_VERSION_UNSUPPORTED') return false;
  return (
    error.rule.next === 'fix-request' || (error.code === 'INTERNAL' && error.details['status'] !== undefined)
  );
}

async function openFile(ports: SyncPorts, work: Work, { name, look }: Found): Promise<FileOpenAnswer> {
  const { json } = await call(ports, work, {
    method: 'POST',
    path: routes.files,
    json: {
      name: givenName(name),
      size: look.size,
      modifiedAt: look.modifiedAt.toISOString(),
      traceparent: work.traceparent,
    } satisfies FileOpenRequest,
  });
  return fileOpenAnswerSchema.parse(json);
}

async function takeFile(
  ports: SyncPorts,
  work: Work,
  file: Found,
  opened: FileOpenAnswer,
): Promise<keyof SyncCounts> {
  const { ftp, logger } = ports;
  const { fileId } = opened;
  const given = givenName(file.name);
  const taken = takenName(given, fileId);
  const at = `${folders.in}/${taken}`;
  if (file.name !== taken && !(await move(ftp, { from: `${folders.in}/${file.name}`, to: at })))
    return 'left';
  const reason = await verdictOn(ports, work, { given, at, look: file.look, opened });
  // It was replaced before it was renamed, or written on: that content is a file of its own, for the next look.
  if (!isStable(file.look, await ftp.look(at))) return 'left';
  const movedTo = `${reason === null ? folders.done : folders.rejected}/${taken}`;
  if (reason !== null) {
    // Known, and told to whoever watches, before it is moved: once it has left in/ no run looks at it any more.
    await noteOutcome(ports, work, fileId, { movedTo: null, reason });
    // A rejected file never lies there without its reason.
    await ftp.write(`${folders.rejected}/${reasonName(taken)}`, Readable.from([Buffer.from(`${reason}\n`)]));
  }
  await move(ftp, { from: at, to: movedTo }); // When it is gone, another run has moved it there.
  await noteOutcome(ports, work, fileId, { movedTo, reason });
  const state = reason === null ? 'applied' : 'rejected';
  logger.emit({ type: 'file.changed', fileId, name: given, state, rows: null, reason });
  return state;
}

/** False when it is gone. */
async function move(ftp: FtpClient, { from, to }: { from: string; to: string }): Promise<boolean> {
  if (await ftp.move({ from, to })) return true;
  if (await ftp.look(from)) throw new Failure('INTERNAL', `the FTP server does not move ${from} to ${to}`);
  return false;
}

async function noteOutcome(
  ports: SyncPorts,
  work: Work,
  fileId: string,
  outcome: FileOutcome,
): Promise<void> {
  await call(ports, work, { method: 'PUT', path: routes.fileOutcome(fileId), json: outcome });
}

const reasonName = (name: string): string => `${name}.reason.txt`;

function call(
  { leader }: SyncPorts,
  work: Work,
  what: Pick<InternalRequest, 'method' | 'path' | 'json'>,
): Promise<InternalAnswer> {
  return leader.call(
    { ...what, timeoutMs: callTimeoutMs, traceparent: work.traceparent },
    { deadline: Math.min(work.deadline, performance.now() + triesOfCallMs) },
  );
}

/** Null when it is applied, else why it is rejected. @throws what may pass. */
async function verdictOn(
  ports: SyncPorts,
  work: Work,
  { given, at, look, opened }: { given: string; at: string; look: Look; opened: FileOpenAnswer },
): Promise<string | null> {
  const verdict = judgeName(given);
  if (verdict.kind === 'reject') return verdict.reason;
  if (opened.kind === 'done') return null;
  if (opened.kind === 'rejected') return opened.reason;
  try {
    return await upload(ports, work, { given, at, look, fileId: opened.fileId });
  } catch (error) {
    if (error instanceof Failure && error.rule.next === 'reject-file')
      return `${error.code}: ${error.message}`;
    throw error;
  }
}

async function upload(
  { leader, ftp }: SyncPorts,
  work: Work,
  { given, at, look, fileId }: { given: string; at: string; look: Look; fileId: string },
): Promise<string | null> {
  let broken: Failure | undefined;
  try {
    const answer = await leader.call(
      {
        method: 'POST',
        path: routes.fileContent(fileId),
        body: () => {
          broken = undefined;
          return multipartBody({
            meta: { name: given, size: look.size, traceparent: work.traceparent },
            download: (to: PassThrough) => ftp.download(at, to),
            onBroken: (failure) => (broken = failure),
          });
        },
        timeoutMs: uploadTimeoutMs,
        traceparent: work.traceparent,
      },
      { deadline: Math.min(work.deadline, performance.now() + uploadTimeoutMs) },
    );
    const { kind, reason } = fileAnswerSchema.parse(answer.json);
    return kind === 'applied' ? null : (reason ?? 'the leader gave no reason');
  } catch (error) {
    throw broken ?? error;
  }
}

/** Without those that are gone. */
async function looksAt(ftp: FtpClient, names: readonly string[]): Promise<Found[]> {
  const found: Found[] = [];
  await inParallel(names, workersMax, async (name) => {
    const look = await ftp.look(`${folders.in}/${name}`);
    if (look) found.push({ name, look });
  });
  return found;
}
