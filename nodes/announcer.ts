// Tells the intermediary over SQS FIFO who leads: as soon as it may write, every 2 s while it leads, and when it resigns.
// Best effort: an entry of the directory ends by itself. Never claims and never elects.
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import {
  announceEveryMs,
  announcementDeduplicationId,
  announcementVersion,
  type Announcement,
} from '../contracts/announcement.ts';
import type { Member } from '../contracts/environment.ts';
import type { LeadershipView } from '../contracts/public-api.ts';
import type { Leadership } from './leadership.ts';

export type SendAnnouncement = (announcement: Announcement) => Promise<void>;
const sendWithinMs = 1_500; // Less than the interval, so that at most one is under way.
/** The SDK's first send takes tens of milliseconds of processor time, and first of all come those who wait to write. */
const giveWayMs = 50;

export function sendAnnouncementsTo(client: Pick<SQSClient, 'send'>, queueUrl: string): SendAnnouncement {
  return async (announcement) => {
    await client.send(
      new SendMessageCommand({
        QueueUrl: queueUrl,
        MessageBody: JSON.stringify(announcement),
        MessageGroupId: announcement.cluster,
        MessageDeduplicationId: announcementDeduplicationId(announcement),
      }),
      { abortSignal: AbortSignal.timeout(sendWithinMs) },
    );
  };
}

export function startAnnouncer(options: {
  cluster: string;
  clusterId: string;
  member: Member;
  leadership: Pick<Leadership, 'state' | 'onChange'>;
  send: SendAnnouncement;
  report: (error: unknown) => void;
}) {
  const { leadership, member } = options;
  let sequence = 0;
  let announcedTerm = 0;

  async function announce(state: LeadershipView): Promise<void> {
    if (state.kind === 'following') return;
    // Only a term this node announced can be resigned from.
    if (state.kind === 'resigned' && state.term !== announcedTerm) return;
    announcedTerm = state.term;
    sequence += 1;
    try {
      await options.send({
        version: announcementVersion,
        cluster: options.cluster,
        clusterId: options.clusterId,
        term: state.term,
        sequence,
        nodeId: member.id,
        internalUrl: member.internalUrl,
        publicUrl: member.publicUrl,
        state: state.kind,
      });
    } catch (error) {
      options.report(error);
    }
  }

  let last = Promise.resolve();
  let soon: NodeJS.Timeout | undefined;
  leadership.onChange((state) => {
    clearTimeout(soon);
    const say = (): void => void (last = announce(state));
    if (state.kind === 'leading') soon = setTimeout(say, giveWayMs);
    // Waiting is over in milliseconds, or else said with the next interval.
    else if (state.kind !== 'waiting') say();
  });
  const timer = setInterval(() => {
    if (leadership.state.kind !== 'resigned') void announce(leadership.state);
  }, announceEveryMs);
  return {
    name: 'announcer',
    /** Waits for the last announcement (bounded by its own timeout). */
    async close(): Promise<void> {
      clearInterval(timer);
      clearTimeout(soon);
      await last;
    },
  };
}
