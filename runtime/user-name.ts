// Who runs this, for a log of who did what.
import { userInfo } from 'node:os';

/** A container or a service manager may run us under a number that has no name. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env['USER'] || `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
