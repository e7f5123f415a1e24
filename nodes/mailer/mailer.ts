// The leader's two mail jobs: match new feed events against watches (one fenced statement inserts the mails and moves
// the cursor) and publish what is due to RabbitMQ. Never speaks SMTP.
import { mailMessageType, mailMessageVersion } from '../../contracts/mail-message.ts';
import { exchanges, routingKeys } from '../../contracts/topology.ts';
import type { NodeBroker } from '../node-broker.ts';
import type { OutgoingMail, Store } from '../store.ts';
import { composePriceDrop, isPriceDrop } from './compose.ts';

const eventsPerRound = 500;
const mailsPerRound = 100;

/** @returns whether there may be more to match. */
export async function matchWatches(options: {
  term: number;
  store: Pick<Store, 'unmatched' | 'watchesFor' | 'queueMails'>;
  from: string;
  domain: string;
  manageUrl: string;
}): Promise<boolean> {
  const { store, term } = options;
  const { cursor, events } = await store.unmatched(eventsPerRound);
  const last = events.at(-1);
  if (!last) return false;
  const mails: OutgoingMail[] = [];
  for (const event of events.filter(isPriceDrop))
    for (const watch of await store.watchesFor(event)) {
      const mail = await composePriceDrop({ ...options, event, watch });
      if (mail) mails.push(mail);
    }
  await store.queueMails(term, { from: cursor, to: last.id, mails });
  return events.length === eventsPerRound;
}

/** Publishes first and notes it after: a crash between the two publishes the same attempt again, which the claim skips. */
export async function publishDueMails(options: {
  term: number;
  store: Pick<Store, 'dueMails' | 'mailPublished'>;
  broker: Pick<NodeBroker, 'publish'>;
}): Promise<void> {
  for (const mail of await options.store.dueMails(options.term, mailsPerRound)) {
    const { mailId, attempt, traceparent } = mail;
    await options.broker.publish({
      exchange: exchanges.main.name,
      routingKey: routingKeys.mail,
      type: mailMessageType,
      messageId: `${mailId}/${attempt}`,
      body: JSON.stringify({ version: mailMessageVersion, mailId, attempt, traceparent }),
    });
    await options.store.mailPublished(options.term, mail);
  }
}
