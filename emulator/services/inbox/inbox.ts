// The mail server of the local mode: takes every mail, delivers none, and shows them on a page of its own.
// Wiring only: smtp.ts takes, mail-store.ts keeps, web.ts shows.
import type { Closable } from '../../../runtime/lifecycle.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { InboxFault } from './faults.ts';
import { MailStore, type MailSummary } from './mail-store.ts';
import { startSmtp } from './smtp.ts';
import { startWeb } from './web.ts';

export interface InboxSettings {
  readonly host: string;
  /** 0 takes a free one. */
  readonly smtpPort: number;
  readonly pagePort: number;
  /** Set where the inbox is a container: see LocalAddress. */
  readonly containerName?: string | undefined;
  readonly certFile: string;
  readonly keyFile: string;
  /** JSON { username, password } */
  readonly credentialsFile: string;
  /** Holds the mails; made when it is missing. */
  readonly folder: string;
  /** Text: the bearer token that changes want. */
  readonly tokenFile: string;
  /** Read at every step of a dialogue; a test may change it. */
  readonly faults?: InboxFault[];
}
export interface Inbox extends Closable {
  /** host:port of SMTP. */
  readonly address: string;
  readonly smtpPort: number;
  /** http://host:port */
  readonly pageUrl: string;
  /** Newest first. */
  mails(): MailSummary[];
  close(): Promise<void>;
}

/** @throws Error when a file is missing or wrong, a port is taken, or the host is not loopback. */
export async function startInbox(settings: InboxSettings, logger: Logger): Promise<Inbox> {
  const faults = settings.faults ?? [];
  const store = await MailStore.open(settings.folder, (message) => logger.warn(message));
  const web = await startWeb({ ...settings, port: settings.pagePort, store, faults, logger });
  try {
    const smtp = await startSmtp({ ...settings, port: settings.smtpPort, store, faults, logger });
    return {
      name: 'smtp',
      address: `${settings.host}:${smtp.port}`,
      smtpPort: smtp.port,
      pageUrl: web.url,
      mails: () => store.list(),
      async close() {
        await Promise.all([smtp.close(), web.close()]);
      },
    };
  } catch (error) {
    await web.close();
    throw error;
  }
}
