// Who leads, as the leader last announced it: one row per cluster in DynamoDB, which announce writes and which
// redirect and the leader client read. The row ends by itself; it never says who may write (the fence does).
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  type AttributeValue,
} from '@aws-sdk/client-dynamodb';
import * as z from 'zod';
import { announcementSchema } from '../contracts/announcement.ts';
import { directoryTable } from '../contracts/topology.ts';
import { within } from '../runtime/waiting.ts';

const entrySchema = announcementSchema.extend({ validUntilMs: z.int() });
/** `validUntilMs` is epoch time: several machines compare it, each with its own clock. */
export type DirectoryEntry = z.infer<typeof entrySchema>;

export interface LeaderDirectory {
  /** The newest entry, valid or not. @throws Error when DynamoDB does not answer in time. */
  read(cluster: string): Promise<DirectoryEntry | undefined>;
  /** False when the directory already holds something newer. @throws Error when DynamoDB does not answer in time. */
  store(entry: DirectoryEntry, nowMs: number): Promise<boolean>;
  close(): void;
}

const answerWithinMs = 1_500; // Below the 2 s between two announcements.

/** Endpoint and credentials come from the environment, which the SDK reads by itself. */
export function openLeaderDirectory({ table, region }: { table: string; region: string }): LeaderDirectory {
  const client = new DynamoDBClient({ region, maxAttempts: 2 });

  return {
    async read(cluster) {
      const { Item } = await bounded('reading', (abortSignal) =>
        client.send(
          new GetItemCommand({
            TableName: table,
            Key: { [directoryTable.key]: { S: cluster } },
            // An eventually consistent read may be seconds old, as old as the announcement's whole validity.
            ConsistentRead: true,
          }),
          { abortSignal },
        ),
      );
      return Item && fromItem(Item);
    },
    async store(entry, nowMs) {
      try {
        await bounded('writing', (abortSignal) =>
          client.send(
            new PutItemCommand({
              TableName: table,
              Item: toItem(entry),
              // Terms of two databases cannot be compared: after a restore or on a fresh laptop they start again at
              // 1, so another database takes the row over once the old one's announcement has run out.
              ConditionExpression:
                'attribute_not_exists(#cluster) OR (#clusterId = :clusterId AND (#term < :term OR (#term = :term AND #sequence < :sequence))) OR (#clusterId <> :clusterId AND #validUntilMs < :now)',
              // Several of these are reserved words of DynamoDB.
              ExpressionAttributeNames: {
                '#cluster': directoryTable.key,
                '#clusterId': 'clusterId',
                '#term': 'term',
                '#sequence': 'sequence',
                '#validUntilMs': 'validUntilMs',
              },
              ExpressionAttributeValues: {
                ':clusterId': { S: entry.clusterId },
                ':term': { N: String(entry.term) },
                ':sequence': { N: String(entry.sequence) },
                ':now': { N: String(nowMs) },
              },
            }),
            { abortSignal },
          ),
        );
        return true;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw error;
      }
    },
    close: () => client.destroy(),
  };

  /** The SDK aborts its request only: a credential provider that hangs needs the race. */
  function bounded<T>(doing: string, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within(answerWithinMs, `${doing} the directory table ${table}: DynamoDB`, run);
  }
}

function toItem(entry: DirectoryEntry): Record<string, AttributeValue> {
  return Object.fromEntries(
    Object.entries(entry).map(([name, value]) => [
      name,
      typeof value === 'number' ? { N: String(value) } : { S: value },
    ]),
  );
}

/** Undefined for a row of another release or a hand-made one: as good as none, since the next announcement replaces it. */
function fromItem(item: Record<string, AttributeValue>): DirectoryEntry | undefined {
  const plain = Object.fromEntries(
    Object.entries(item).map(([name, value]) => [name, value.N === undefined ? value.S : Number(value.N)]),
  );
  return entrySchema.safeParse(plain).data;
}

/** The entry while it may be believed: its leader has not resigned and its time is not over. */
export function believable(entry: DirectoryEntry | undefined, nowMs: number): DirectoryEntry | undefined {
  return entry && entry.state !== 'resigned' && nowMs < entry.validUntilMs ? entry : undefined;
}
