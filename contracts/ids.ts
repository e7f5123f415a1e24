// Names, versions and idempotency keys that processes must compute alike.
import * as z from 'zod';

/** A source's name: the first part of every item key and the prefix of its files. */
export const sourceNameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'lower case letters, digits and inner dashes, 1 to 63');

export const nodeIdSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'lower case letters, digits and dashes, 1 to 32');

/** A heartbeat names every heir, and fits into one datagram. */
export const membersMax = 16;

/** Versions are exact integers in JSON, JavaScript and bigint columns alike. */
export const versionSchema = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

export const ordinalsPerIntake = 2 ** 24;
export const intakeMax = 2 ** 29 - 1;

/**
 * The version of an item: never a clock. `intake` rises per source and is handed out, fenced, by the
 * leader with the crawl lease or with the file's ledger row; `ordinal` is the fetch or row position.
 * @throws RangeError when either is out of its range (intake 1 to 2^29-1, ordinal 0 to 2^24-1).
 */
export function itemVersion({ intake, ordinal }: { intake: number; ordinal: number }): number {
  if (!Number.isInteger(intake) || intake < 1 || intake > intakeMax)
    throw new RangeError(`intake ${intake} is not in 1..2^29-1`);
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal >= ordinalsPerIntake)
    throw new RangeError(`ordinal ${ordinal} is not in 0..2^24-1`);
  return intake * ordinalsPerIntake + ordinal;
}

export function intakeOf(version: number): number {
  return Math.floor(version / ordinalsPerIntake);
}

/** Higher than any version of an earlier intake, lower than any of a later one. */
export const lastVersionOf = (intake: number): number =>
  itemVersion({ intake, ordinal: ordinalsPerIntake - 1 });

/** What a page message's id is the sha256 of, in hex: equal for every try of the same page of the same crawl. */
export function pageMessageIdInput({
  source,
  intake,
  page,
}: {
  source: string;
  intake: number;
  page: number;
}): string {
  return `${source}\n${intake}\n${page}`;
}

/** W3C trace context, https://www.w3.org/TR/trace-context/#traceparent-header */
export const traceparentSchema = z.string().regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
