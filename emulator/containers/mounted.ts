// What a container finds in its own folder of secrets, under the names that init/ gives them. Reads nothing that init/
// has not handed to this very container.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const mountedFolder = '/run/baton';
export const certificateNames = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' } as const;

export function mountedUri(name: string): string {
  return pathToFileURL(join(mountedFolder, name)).href;
}
