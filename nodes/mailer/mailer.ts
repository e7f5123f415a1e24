// The leader's mail jobs: what happened becomes notices, gathered notices become mails, and mails that are due are
// published to RabbitMQ. Each is one fenced statement a step, so another leader goes on where this one ended. Never
// speaks SMTP.
import { mailMessageType, mailMessageVersion } from '../../contracts/mail-message.ts';
import { exchanges, messageHeaders, routingKeys } from '../../contracts/topology.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import type { Store } from '../store.ts';
import { composeMail, type MailSettings } from './compose.ts';
import { digestRules } from './notice.ts';

const eventsPerStep = 500;
const stepsPerRound = 20;
const digestsPerRound = 50;
const mailsPerRound = 100;

/** Notices of what happened since the last look; what is left over is for the next round. */
export async function makeNotices(term: number, store: Pick<Store, 'makeNotices'>): Promise<void> {
  const traceparent = newTraceparent();
  for (let step = 0; step < stepsPerRound; step++)
    if (!(await store.makeNotices(term, { eventsMax: eventsPerStep, traceparent }))) return;
}

export async function queueDigests(
  term: number,
  store: Pick<Store, 'dueDigests' | 'queueDigest'>,
  settings: MailSettings,
): Promise<void> {
  for (const digest of await store.dueDigests(term, digestRules, digestsPerRound))
    await store.queueDigest(term, digest.noticeIds, await composeMail(digest, settings));
}

/** Publishes first and notes it after: a crash between the two publishes the same attempt again, which the claim skips. */
export async function publishDueMails(
  term: number,
  store: Pick<Store, 'dueMails' | 'mailPublished'>,
  broker: Pick<BrokerClient, 'publish'>,
): Promise<void> {
  for (const mail of await store.dueMails(term, mailsPerRound)) {
    const { mailId, attempt, traceparent } = mail;
    await broker.publish({
      exchange: exchanges.main.name,
      routingKey: routingKeys.mail,
      type: mailMessageType,
      messageId: `${mailId}/${attempt}`,
      body: JSON.stringify({ version: mailMessageVersion, mailId, attempt, traceparent }),
      headers: { [messageHeaders.traceparent]: traceparent },
    });
    await store.mailPublished(term, mail);
  }
}
