// Announcements of one SQS batch to the leader directory; of a batch only the newest matters. Never reports a
// message as failed: that would block its FIFO group for the queue's visibility timeout, while the leader's next
// announcement is 2 s away and says more.
import * as z from 'zod';
import { detailText } from '../../contracts/event.ts';
import {
  announcementSchema,
  announcementValidityMs,
  announcementVersion,
} from '../../contracts/announcement.ts';
import type { FailureCode } from '../../contracts/failures.ts';
import { describeError } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import type { Logger } from '../../runtime/logger.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { pause } from '../../runtime/waiting.ts';
import type { DirectoryEntry, LeaderDirectory } from '../leader-directory.ts';

export interface AnnouncePorts {
  readonly directory: Pick<LeaderDirectory, 'read' | 'store'>;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
}
export interface AnnounceOutcome {
  readonly kind: 'stored' | 'outdated' | 'nothing' | 'directory-away';
}

const sqsRecordSchema = z.object({
  messageId: z.string(),
  body: z.string().max(16 * 1024),
  attributes: z.object({ SentTimestamp: z.coerce.number().int().optional() }).optional(),
});
const sqsEventSchema = z.object({ Records: z.array(z.unknown()).max(10_000) });
const betweenTriesMs = 300;

/** @param deadline performance.now() milliseconds. */
export async function announce(
  ports: AnnouncePorts,
  event: unknown,
  { cluster, deadline }: { cluster: string; deadline: number },
): Promise<AnnounceOutcome> {
  const records = sqsEventSchema.safeParse(event);
  if (!records.success) {
    malformed(ports, `not an SQS event: ${describeIssues(issuesOf(records.error))}`);
    return { kind: 'nothing' };
  }
  let newest: DirectoryEntry | undefined;
  for (const record of records.data.Records) {
    const entry = readRecord(ports, record, cluster);
    if (entry && (!newest || isNewer(entry, newest))) newest = entry;
  }
  return newest ? await store(ports, newest, deadline) : { kind: 'nothing' };
}

/** Undefined for what is no announcement of this cluster; the log says why. */
function readRecord(ports: AnnouncePorts, record: unknown, cluster: string): DirectoryEntry | undefined {
  const parsed = sqsRecordSchema.safeParse(record);
  if (!parsed.success)
    return malformed(ports, `not an SQS message: ${describeIssues(issuesOf(parsed.error))}`);
  const { messageId, body, attributes } = parsed.data;
  const json = parseJson(body);
  if (json === undefined) return malformed(ports, `${messageId} is not JSON`);
  const announcement = announcementSchema.safeParse(json);
  if (!announcement.success) {
    const { version } = z.object({ version: z.unknown() }).safeParse(json).data ?? {};
    return malformed(
      ports,
      typeof version === 'number' && version > announcementVersion
        ? `${messageId} has version ${version}, this release reads ${announcementVersion}`
        : `${messageId} is malformed: ${describeIssues(issuesOf(announcement.error))}`,
    );
  }
  if (announcement.data.cluster !== cluster)
    return malformed(
      ports,
      `${messageId} is of cluster ${announcement.data.cluster}, this one is ${cluster}`,
    );
  // From its receipt by SQS: what waited there is older than it looks.
  const receivedAt = Math.min(ports.now(), attributes?.SentTimestamp ?? Number.POSITIVE_INFINITY);
  return { ...announcement.data, validUntilMs: receivedAt + announcementValidityMs };
}

/** Terms of two databases do not compare; within a batch the later message of another database wins. */
function isNewer(one: DirectoryEntry, other: DirectoryEntry): boolean {
  if (one.clusterId !== other.clusterId) return true;
  return one.term > other.term || (one.term === other.term && one.sequence > other.sequence);
}

async function store(
  ports: AnnouncePorts,
  entry: DirectoryEntry,
  deadline: number,
): Promise<AnnounceOutcome> {
  const { directory, now } = ports;
  for (;;)
    try {
      if (await directory.store(entry, now())) return { kind: 'stored' };
      await explainRefusal(ports, entry);
      return { kind: 'outdated' };
    } catch (error) {
      if (performance.now() + betweenTriesMs > deadline) {
        problem(
          ports,
          'INTERNAL',
          `term ${entry.term} of ${entry.nodeId} was not stored, the next announcement will be: ${describeError(error)}`,
        );
        return { kind: 'directory-away' };
      }
      await pause(betweenTriesMs);
    }
}

/** Old announcements are common and harmless; two databases behind one cluster name are neither. */
async function explainRefusal(ports: AnnouncePorts, entry: DirectoryEntry): Promise<void> {
  const held = await ports.directory.read(entry.cluster);
  if (held && held.clusterId !== entry.clusterId)
    problem(
      ports,
      'FORBIDDEN',
      `two databases announce as cluster ${entry.cluster}: ${held.clusterId} (${held.nodeId}) holds the directory, ${entry.clusterId} (${entry.nodeId}) is refused; give one of them another name`,
    );
}

function malformed(ports: AnnouncePorts, detail: string): undefined {
  problem(ports, 'MESSAGE_MALFORMED', detail);
}

function problem({ logger }: AnnouncePorts, code: FailureCode, detail: string): void {
  logger.emit({ type: 'problem', code, detail: detailText(`announcement: ${detail}`) });
}
