// The inbox as the supervisor starts it.
import { ownService } from '../own-service.ts';
import type { Service } from '../service.ts';
import type { InboxSettings } from './inbox.ts';

/** `smtpPort` and `pagePort` are fixed ones here: the addresses have to be known before it runs. */
export function inboxService(settings: InboxSettings): Service {
  return ownService({
    name: 'smtp',
    kind: 'smtp',
    address: `${settings.host}:${settings.smtpPort}`,
    about: `inbox, mails at http://${settings.host}:${settings.pagePort}`,
    module: new URL('main.ts', import.meta.url),
    settings,
  });
}
