// Takes files from in/ to the leader, one by one and under a lease, and moves each to done/ or rejected/ after
// the leader has said what became of it. What fails for a passing reason stays in in/ for the next tick.
// Never deletes a file, and never moves one whose upload the leader has not answered.
import { Readable, type PassThrough } from 'node:stream';
import { folders } from '../../contracts/file.ts';
import {
  fileAnswerSchema,
  fileOpenAnswerSchema,
  routes,
  type FileOpenAnswer,
  type FileOpenRequest,
} from '../../contracts/node-api.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import { inParallel } from '../../runtime/in-parallel.ts';
import type { InternalAnswer, InternalRequest } from '../../runtime/internal-http.ts';
import type { Logger } from '../../runtime/logger.ts';
import { pause } from '../../runtime/waiting.ts';
import type { LeaderClient } from '../leader-client.ts';
import type { FtpClient } from './ftp-client.ts';
import { isStable, judgeName, numberedName, type Look } from './plan-transfer.ts';
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
const filesMax = 1_000; // In one run; the next tick goes on.
const workersMax = 3;
const callTimeoutMs = 10_000;
const uploadTimeoutMs = 600_000;
/** One file that fails, for whatever reason, must not take the whole run from those behind it. */
const triesOfCallMs = 60_000;
const numbersMax = 1_000;

/** Everything that lies in in/ and is stable. */
export async function syncAll(ports: SyncPorts, work: Work): Promise<SyncCounts> {
  const counts: SyncCounts = { applied: 0, rejected: 0, left: 0 };
  const names: string[] = [];
  for (const name of await ports.ftp.list(folders.in)) {
    const verdict = judgeName(name);
    if (verdict.kind === 'unsafe') {
      counts.left += 1;
      ports.logger.emit({
        type: 'problem',
        code: 'FILE_MALFORMED',
        detail: `${JSON.stringify(name.slice(0, 80))} in ${folders.in}/ is left alone: ${verdict.reason}`,
      });
    } else if (verdict.kind !== 'ignore' && names.length < filesMax) names.push(name);
  }
  if (names.length === 0) return counts;
  const first = await looksAt(ports.ftp, names);
  await pause(betweenLooksMs, work.signal);
  work.signal.throwIfAborted();
  const second = await looksAt(ports.ftp, names);
  await inParallel(names, workersMax, async (name) => {
    const look = second.get(name);
    if (isStable(first.get(name), look)) counts[await syncFile(ports, work, name, look)] += 1;
    else counts.left += 1;
  });
  return counts;
}

/** One file that is known to be whole: no second look. Nothing when it is not there (any more). */
export async function syncOne(ports: SyncPorts, work: Work, name: string): Promise<SyncCounts> {
  const counts: SyncCounts = { applied: 0, rejected: 0, left: 0 };
  assertUsable(name);
  const look = await ports.ftp.look(`${folders.in}/${name}`);
  if (look) counts[await syncFile(ports, work, name, look)] += 1;
  return counts;
}

/** Moves a rejected file back to in/ and takes it. */
export async function retryRejected(ports: SyncPorts, work: Work, name: string): Promise<SyncCounts> {
  assertUsable(name);
  const { ftp } = ports;
  const target = await freeName(ftp, folders.in, name);
  if (await ftp.move({ from: `${folders.rejected}/${name}`, to: `${folders.in}/${target}` })) {
    await ftp.remove(`${folders.rejected}/${name}.reason.txt`);
    return await syncOne(ports, work, target);
  }
  return await syncOne(ports, work, name); // Moved by an earlier try of this command.
}

function assertUsable(name: string): void {
  const verdict = judgeName(name);
  if (verdict.kind === 'unsafe' || verdict.kind === 'ignore')
    throw new Failure(
      'MESSAGE_MALFORMED',
      `file name ${JSON.stringify(name)}: ${verdict.kind === 'unsafe' ? verdict.reason : 'dot and part files are not taken'}`,
    );
}

async function syncFile(ports: SyncPorts, work: Work, name: string, look: Look): Promise<keyof SyncCounts> {
  const { leader, logger } = ports;
  const call = (what: Pick<InternalRequest, 'method' | 'path' | 'json'>): Promise<InternalAnswer> =>
    leader.call(
      { ...what, timeoutMs: callTimeoutMs, traceparent: work.traceparent },
      { deadline: Math.min(work.deadline, performance.now() + triesOfCallMs) },
    );
  if (work.signal.aborted || performance.now() > work.deadline) return 'left';
  try {
    const { json } = await call({
      method: 'POST',
      path: routes.files,
      json: {
        name,
        size: look.size,
        modifiedAt: look.modifiedAt.toISOString(),
        traceparent: work.traceparent,
      } satisfies FileOpenRequest,
    });
    const opened = fileOpenAnswerSchema.parse(json);
    const reason = await verdictOn(ports, work, { name, look, opened });
    // An overwrite during the upload: the new content is a file of its own, for the next look.
    if (!isStable(look, await ports.ftp.look(`${folders.in}/${name}`))) return 'left';
    const movedTo = reason === null ? await moveDone(ports, name) : await moveRejected(ports, name, reason);
    await call({ method: 'PUT', path: routes.fileOutcome(opened.fileId), json: { movedTo, reason } });
    const state = reason === null ? 'applied' : 'rejected';
    logger.emit({ type: 'file.changed', fileId: opened.fileId, name, state, rows: null, reason });
    return state;
  } catch (error) {
    const detail = `${name} stays in ${folders.in}/ for the next tick: ${describeError(error)}`;
    // What nobody expected may stand in the way at each tick.
    if (error instanceof Failure && error.code === 'INTERNAL')
      logger.emit({ type: 'problem', code: error.code, detail });
    else logger.warn(detail);
    return 'left';
  }
}

/** Null when it is applied, else why it is rejected. @throws what may pass. */
async function verdictOn(
  ports: SyncPorts,
  work: Work,
  { name, look, opened }: { name: string; look: Look; opened: FileOpenAnswer },
): Promise<string | null> {
  const verdict = judgeName(name);
  if (verdict.kind === 'reject') return verdict.reason;
  if (opened.kind === 'done') return null;
  if (opened.kind === 'rejected') return opened.reason;
  try {
    return await upload(ports, work, { name, look, fileId: opened.fileId });
  } catch (error) {
    if (error instanceof Failure && error.rule.next === 'reject-file')
      return `${error.code}: ${error.message}`;
    throw error;
  }
}

async function upload(
  { leader, ftp }: SyncPorts,
  work: Work,
  { name, look, fileId }: { name: string; look: Look; fileId: string },
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
            meta: { name, size: look.size, traceparent: work.traceparent },
            download: (to: PassThrough) => ftp.download(`${folders.in}/${name}`, to),
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

async function moveDone({ ftp }: SyncPorts, name: string): Promise<string> {
  const target = `${folders.done}/${await freeName(ftp, folders.done, name)}`;
  await ftp.move({ from: `${folders.in}/${name}`, to: target });
  return target;
}

async function moveRejected({ ftp }: SyncPorts, name: string, reason: string): Promise<string> {
  const target = `${folders.rejected}/${await freeName(ftp, folders.rejected, name)}`;
  // The reason first: a rejected file never lies there without one.
  await ftp.write(`${target}.reason.txt`, Readable.from([Buffer.from(`${reason}\n`)]));
  await ftp.move({ from: `${folders.in}/${name}`, to: target });
  return target;
}

async function freeName(ftp: FtpClient, folder: string, name: string): Promise<string> {
  for (let number = 1; number <= numbersMax; number++) {
    const candidate = number === 1 ? name : numberedName(name, number);
    if (!(await ftp.look(`${folder}/${candidate}`))) return candidate;
  }
  throw new Failure('INTERNAL', `${folder}/ holds ${numbersMax} files called like ${name}`);
}

async function looksAt(ftp: FtpClient, names: readonly string[]): Promise<Map<string, Look>> {
  const looks = new Map<string, Look>();
  await inParallel(names, workersMax, async (name) => {
    const look = await ftp.look(`${folders.in}/${name}`);
    if (look) looks.set(name, look);
  });
  return looks;
}
