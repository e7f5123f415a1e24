// The inbox as the supervisor starts it: one Node process that prints its ready line.
import { fileURLToPath } from 'node:url';
import { serviceSettingsVariable } from '../../service-process.ts';
import type { Service } from '../../service.ts';
import type { InboxSettings } from './inbox.ts';

/** `smtpPort` and `pagePort` are fixed ones here: the address has to be known before it runs. */
export function inboxService(settings: InboxSettings): Service & { readonly pageUrl: string } {
  const pageUrl = `http://${settings.host}:${settings.pagePort}`;
  return {
    name: 'smtp',
    kind: 'smtp',
    address: `${settings.host}:${settings.smtpPort}`,
    about: `inbox, mails at ${pageUrl}`,
    pageUrl,
    command: {
      file: process.execPath,
      args: [fileURLToPath(new URL('main.ts', import.meta.url))],
      env: { [serviceSettingsVariable]: JSON.stringify(settings) },
    },
    startWithinMs: 10_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 5_000,
  };
}
