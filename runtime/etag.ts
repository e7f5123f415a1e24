// The ETag of an answer: equal bytes have equal ones, on every node.
import { createHash } from 'node:crypto';

export const etagOf = (body: string | Uint8Array): string =>
  `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
