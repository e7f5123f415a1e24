// When a mail is claimed, sent and reported, and when its message comes again.
import { describe, expect, it } from 'vitest';
import { mailClaimMs } from '../../../contracts/mail-message.ts';
import { mailResultSchema, type MailClaimAnswer } from '../../../contracts/node-api.ts';
import { functions } from '../../../contracts/topology.ts';
import { sendMails } from '../../../functions/mail/send-mails.ts';
import type { SmtpOutcome } from '../../../functions/mail/smtp.ts';
import { Failure } from '../../../runtime/failure.ts';
import { rabbitmqEvent, rabbitmqMessage, simulatedEdges, traceparent } from './simulated-edges.ts';

const mailId = '0d1f6c1a-3f0c-4d3a-8c57-9d5f5c0c1b77';
const due = rabbitmqMessage(
  { version: 1, mailId, attempt: 2, traceparent },
  { type: 'mail', messageId: `${mailId}/2` },
);
const claimed: MailClaimAnswer = {
  kind: 'send',
  from: 'Baton <baton@example.org>',
  to: 'ann@example.org',
  bytes: Buffer.from('Subject: hello\r\n\r\nhello\r\n').toString('base64'),
  messageId: '<1@example.org>',
};

function world({
  claim = claimed,
  outcome,
  after,
}: {
  claim?: unknown;
  outcome?: SmtpOutcome | Error;
  /** The state that the leader says the mail is in after the report; it cannot be told when there is none. */
  after?: string;
} = {}) {
  const edges = simulatedEdges();
  const sent: { envelope: { from: string; to: string }; text: string }[] = [];
  edges.answer = ({ method }) => {
    if (method === 'PUT') return { state: after };
    if (claim instanceof Error) throw claim;
    return claim;
  };
  return {
    ...edges,
    edges,
    sent,
    run: (messages: readonly object[] = [due], { budgetMs = 700_000 } = {}) =>
      sendMails(
        {
          ...edges.ports,
          send: ({ envelope, bytes }) => {
            sent.push({ envelope, text: bytes.toString() });
            if (outcome instanceof Error) return Promise.reject(outcome);
            return Promise.resolve(outcome ?? { outcome: 'sent', detail: '250 ok' });
          },
        },
        rabbitmqEvent('mail', messages),
        { owner: 'mail/1', deadline: performance.now() + budgetMs },
      ),
  };
}
const counted = { sent: 0, retry: 0, rejected: 0, unknown: 0, skipped: 0, waiting: 0, deadLettered: 0 };

describe('mails', () => {
  it('mails: an invocation has the time for one that its server answers late, with three minutes before it for others', () => {
    const marginMs = 12_000;
    expect(functions.mail.timeoutS * 1_000 - marginMs - mailClaimMs).toBeGreaterThan(150_000);
    // RabbitMQ takes back what was not acknowledged within half an hour, and a mapping holds two batches.
    expect(2 * functions.mail.timeoutS).toBeLessThan(1_800);
  });

  it.each(['sent', 'retry', 'rejected', 'unknown'] as const)(
    'mails: a mail is claimed, sent with its stored bytes and reported as %s, each naming the attempt',
    async (outcome) => {
      const { run, calls, sent, published } = world({ outcome: { outcome, detail: 'what the server said' } });
      expect(await run()).toEqual({ ...counted, [outcome]: 1 });
      expect(calls.map(({ method, path, json }) => ({ method, path, json }))).toEqual([
        { method: 'POST', path: `/internal/mails/${mailId}/claim`, json: { attempt: 2, owner: 'mail/1' } },
        {
          method: 'PUT',
          path: `/internal/mails/${mailId}/result`,
          json: { attempt: 2, owner: 'mail/1', outcome, detail: 'what the server said' },
        },
      ]);
      expect(mailResultSchema.safeParse(calls[1]?.json).success).toBe(true);
      expect(sent).toEqual([
        {
          envelope: { from: 'baton@example.org', to: 'ann@example.org' },
          text: 'Subject: hello\r\n\r\nhello\r\n',
        },
      ]);
      expect(published).toEqual([]);
    },
  );

  it('mails: the event says what the leader made of the outcome, so that a mail given up after a day raises its alarm', async () => {
    const { run, lines } = world({ outcome: { outcome: 'retry', detail: '451 later' }, after: 'failed' });
    await run();
    expect(lines.map((line) => JSON.parse(line) as unknown)).toContainEqual(
      expect.objectContaining({ type: 'mail.changed', mailId, state: 'failed', detail: '451 later' }),
    );
  });

  it.each([
    ['the leader says skip', { kind: 'skip', reason: 'sent already' }],
    ['the mail was erased', new Failure('NOT_FOUND', 'no such mail')],
  ])('mails: nothing is sent when %s, and the message is done', async (_, claim) => {
    const { run, sent, published, calls } = world({ claim });
    expect(await run()).toEqual({ ...counted, skipped: 1 });
    expect({ sent, published, calls: calls.length }).toEqual({ sent: [], published: [], calls: 1 });
  });

  it.each([
    ['no leader', new Failure('NO_LEADER', 'nobody leads')],
    ['a claim that may have been taken', new Failure('DATABASE_TIMEOUT', 'no answer')],
    ['an answer that is none', { kind: 'send', to: 7 }],
  ])('mails: with %s nothing is sent and the message waits in mail.retry', async (_, claim) => {
    const { run, sent, published } = world({ claim });
    expect(await run()).toEqual({ ...counted, waiting: 1 });
    expect(sent).toEqual([]);
    expect(published).toMatchObject([
      { exchange: 'baton.retry', routingKey: 'mail.retry', headers: { 'x-baton-attempt': 2 } },
    ]);
  });

  it.each([
    ['tells a person', new Failure('API_VERSION_UNSUPPORTED', 'this node reads 1'), 1],
    ['tells a person', { kind: 'a later kind' }, 1],
    ['tells nobody', new Failure('NO_LEADER', 'nobody leads'), 0],
  ])('mails: a claim that waits %s: %s', async (_, claim, problems) => {
    const { run, edges } = world({ claim });
    expect(await run()).toEqual({ ...counted, waiting: 1 });
    expect(edges.events.map(({ type }) => type)).toEqual(Array(problems).fill('problem'));
  });

  it('mails: a mail that might not be ended in time is not claimed', async () => {
    const { run, calls, published } = world();
    expect(await run([due], { budgetMs: 629_000 })).toEqual({ ...counted, waiting: 1 });
    expect(calls).toEqual([]);
    expect(published).toHaveLength(1);
  });

  it.each([
    ['CR LF and another recipient', 'ann@example.org\r\nRCPT TO:<evil@example.net>'],
    ['two addresses', 'ann@example.org,evil@example.net'],
    ['a quoted part', '"ann@example.org evil"@example.net'],
    ['an angle', 'ann@example.org>'],
  ])('mails: a recipient with %s is rejected without a word to the server', async (_, to) => {
    const { run, sent, calls, lines } = world({ claim: { ...claimed, to } });
    expect(await run()).toEqual({ ...counted, rejected: 1 });
    expect(sent).toEqual([]);
    expect(calls[1]?.json).toMatchObject({ outcome: 'rejected' });
    expect(lines.join('') + JSON.stringify(calls[1]?.json)).not.toContain(JSON.stringify(to).slice(1, -1));
  });

  it('mails: a mail that its server takes late holds up none beside it, and what cannot be settled is thrown at the end', async () => {
    const { run, edges, ports } = world();
    const late = Promise.withResolvers<SmtpOutcome>();
    let sent = 0;
    const send = () =>
      sent++ === 0 ? late.promise : Promise.resolve({ outcome: 'sent', detail: '' } as const);
    edges.publish = () => {
      late.resolve({ outcome: 'sent', detail: '' });
      throw new Failure('BROKER_UNAVAILABLE', 'no confirm');
    };
    const poison = rabbitmqMessage('no json', { messageId: 'p-1' });
    await expect(
      sendMails({ ...ports, send }, rabbitmqEvent('mail', [due, due, poison]), {
        owner: 'mail/1',
        deadline: performance.now() + 700_000,
      }),
    ).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(edges.calls.filter(({ method }) => method === 'PUT')).toHaveLength(2);
    edges.publish = () => undefined;
    expect(await run([due, due])).toEqual({ ...counted, sent: 2 });
  });

  it('mails: a wrong sender is our error, so that no recipient is given up for it', async () => {
    const { run, calls } = world({ claim: { ...claimed, from: 'Baton <baton>, x@example.org' } });
    expect(await run()).toEqual({ ...counted, retry: 1 });
    expect(calls[1]?.json).toMatchObject({ detail: expect.stringContaining('BATON_MAIL_FROM') as unknown });
  });

  it('mails: after a claim nothing is thrown: not by credentials that cannot be read, not by a report that is lost', async () => {
    const { run, edges } = world({ outcome: new Error('secret file:/x cannot be read') });
    edges.answer = ({ method }) => {
      if (method === 'PUT') throw new Failure('NO_LEADER', 'nobody leads');
      return claimed;
    };
    expect(await run()).toEqual({ ...counted, retry: 1 });
    expect(edges.lines.join('')).toContain('which the leader could not be told');
    expect(edges.published).toEqual([]);
  });

  it('mails: poison is dead-lettered with its reason, and the next mail is sent', async () => {
    const { run, published, events } = world();
    expect(await run([rabbitmqMessage('no json', { messageId: 'p-1' }), due])).toEqual({
      ...counted,
      deadLettered: 1,
      sent: 1,
    });
    expect(published).toMatchObject([
      { routingKey: 'mail.dead', messageId: 'p-1', headers: { 'x-baton-code': 'MESSAGE_MALFORMED' } },
    ]);
    expect(events.map(({ type }) => type)).toEqual(['message.dead-lettered', 'mail.changed']);
  });

  it.each([
    ['sent', 'sent'],
    ['retry', 'queued'],
    ['rejected', 'failed'],
    ['unknown', 'unknown'],
  ] as const)('mails: one that was %s is told as %s', async (outcome, state) => {
    const { run, events } = world({ outcome: { outcome, detail: 'what the server said' } });
    await run();
    expect(events).toMatchObject([
      { type: 'mail.changed', mailId, state, attempt: 2, detail: 'what the server said' },
    ]);
  });
});
