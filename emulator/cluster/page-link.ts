// The link that opens the page as operator, once and within ten minutes: its key is of the very node that it names.
import type { SessionKey } from '../../contracts/public-api.ts';

/** `url`: of the node that made the key. */
export const pageLink = (url: string, { key }: Pick<SessionKey, 'key'>): string => `${url}/?key=${key}`;
