// Compares a secret without telling by its time how much of it was right.
import { createHash, timingSafeEqual } from 'node:crypto';

/** Digests are compared, since timingSafeEqual wants equal lengths and a length is a hint too. */
export function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
