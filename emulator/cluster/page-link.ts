// The link that opens the page as operator, once and within ten minutes: its key is of the very node that it names.
import { z } from 'zod';

export const sessionKeyCall = { method: 'POST', path: '/session-keys' } as const;
export const sessionKeySchema = z.object({ key: z.string() });

/** `url`: of the node that made the key. */
export const pageLink = (url: string, { key }: z.infer<typeof sessionKeySchema>): string =>
  `${url}/?key=${key}`;
