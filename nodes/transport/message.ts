// Messages of the election core as bytes and back. Whoever holds the key may still run another release, so
// what was opened is checked all the same; fields of a newer minor release are ignored.
import { z } from 'zod';
import { membersMax, nodeIdSchema } from '../../contracts/ids.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { rules, type Message } from '../raft/types.ts';

const count = z.int().min(0);
const boot = z.string().regex(/^[0-9a-f]{32}$/);
const rule = z.enum(rules);
const health = z.object({
  fit: z.boolean(),
  reason: z.string().max(200).nullable(),
  databaseReachable: z.boolean(),
  lagMs: z.number().min(0),
});
const message = <K extends string, S extends z.ZodRawShape>(kind: K, shape: S) =>
  z.object({ kind: z.literal(kind), term: count, generation: count, ...shape });

const messageSchema: z.ZodType<Message> = z.discriminatedUnion('kind', [
  message('pre-vote-request', { round: count }),
  message('pre-vote-answer', { round: count, candidateBoot: boot, granted: z.boolean(), rule }),
  message('vote-request', { transfer: z.boolean() }),
  message('vote-answer', { candidateBoot: boot, granted: z.boolean(), rule }),
  message('heartbeat', {
    sequence: count,
    sentAt: z.number(),
    order: z.array(nodeIdSchema).max(membersMax),
    probe: count,
  }),
  message('heartbeat-answer', {
    sequence: count,
    sentAt: z.number(),
    health,
    priority: count,
    probe: count,
  }),
  message('transfer-now', {}),
  message('term-request', { nonce: count }),
  message('term-answer', { nonce: count, askerBoot: boot }),
]);

export function encodeMessage(message: Message): Buffer {
  return Buffer.from(JSON.stringify(message));
}

/** Undefined when the bytes are no message of this release: of another one then, since their tag was right. The caller counts it. */
export function decodeMessage(bytes: Buffer): Message | undefined {
  return messageSchema.safeParse(parseJson(bytes.toString())).data;
}
