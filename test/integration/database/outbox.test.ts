import type { Client } from 'pg';
import { expect, test } from 'vitest';
import type { OutgoingMail, Store } from '../../../nodes/store.ts';
import { mailTimes } from '../../../contracts/mail-message.ts';
import type { MailResult } from '../../../contracts/node-api.ts';
import { lead, traceparent, useDatabases } from './fresh-database.ts';

const databases = useDatabases();

test('outbox: a mail is queued, due, published, claimed and sent, with the bytes it was rendered to', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const [due] = await queue(store, mail('a'));
  expect(due).toEqual({ mailId: expect.any(String), attempt: 1, traceparent });
  const { mailId } = due;
  await store.mailPublished(1, due);
  expect(await store.dueMails(1, 10)).toEqual([]);
  expect(await claim(store, mailId, 1)).toEqual({
    kind: 'send',
    from: 'baton@example.test',
    to: 'a@example.test',
    bytes: Buffer.from(`rendered for a \u00ff`).toString('base64'),
    messageId: '<a@example.test>',
  });
  await report(store, mailId, 1, 'sent');
  await report(store, mailId, 1, 'sent'); // Said again after a lost answer.
  expect(await stateOf(store)).toEqual({ state: 'sent', attempt: 1 });
  expect((await store.counts()).mailsSent).toBe(1);
  expect(await store.dueMails(1, 10)).toEqual([]);
  expect(await claim(store, mailId, 1)).toMatchObject({ kind: 'skip' });
});

test('outbox: a mail is claimed by one worker; the same message twice in one invocation sends once', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const [{ mailId }] = await queue(store, mail('a'));
  const claims = await Promise.all([claim(store, mailId, 1, 'one'), claim(store, mailId, 1, 'two')]);
  expect(claims.map(({ kind }) => kind).sort()).toEqual(['send', 'skip']);
  const owner = claims[0].kind === 'send' ? 'one' : 'two';
  expect(await claim(store, mailId, 1, owner)).toMatchObject({ kind: 'skip' });
});

test('outbox: what the server defers is due again later, as the next attempt, and the old one is skipped', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const [{ mailId }] = await queue(store, mail('a'));
  await claim(store, mailId, 1);
  await report(store, mailId, 1, 'retry', '451 greylisted');
  expect((await store.recentMails(1))[0]).toMatchObject({
    state: 'queued',
    attempt: 2,
    detail: '451 greylisted',
  });
  expect(await store.dueMails(1, 10)).toEqual([]);
  expect(await claim(store, mailId, 1)).toMatchObject({ kind: 'skip' });
  await makeDue(await connect());
  expect(await store.dueMails(1, 10)).toMatchObject([{ mailId, attempt: 2 }]);
  expect(await claim(store, mailId, 2)).toMatchObject({ kind: 'send' });
});

test('outbox: the wait between attempts grows with jitter, and 24 hours after the first attempt it is given up', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const [{ mailId }] = await queue(store, mail('a'));
  const waits: number[] = [];
  for (let attempt = 1; attempt <= 6; attempt++) {
    await claim(store, mailId, attempt);
    await report(store, mailId, attempt, 'retry');
    const { rows } = await client.query<{ wait: number }>(
      'SELECT extract(epoch FROM due_at - clock_timestamp())::float8 AS wait FROM mails',
    );
    waits.push(rows[0]?.wait ?? Number.NaN);
    await makeDue(client);
  }
  // Each is between half and the whole of a doubled wait, so two further on it is longer whatever the jitter.
  expect(waits.slice(2).filter((wait, index) => wait <= (waits[index] ?? Number.NaN))).toEqual([]);
  await claim(store, mailId, 7);
  await client.query("UPDATE mails SET first_claimed_at = clock_timestamp() - interval '24 hours'");
  await report(store, mailId, 7, 'retry', '451 still busy');
  expect((await store.recentMails(1))[0]).toMatchObject({
    state: 'failed',
    attempt: 7,
    detail: '451 still busy',
  });
  await makeDue(client);
  expect(await store.dueMails(1, 10)).toEqual([]);
});

test('outbox: a refusal for good ends the mail and suppresses its recipient, also for mails already queued', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const [one, two] = await queue(store, mail('a'), { ...mail('a'), key: 'second' });
  if (!two) throw new Error('there is no second mail');
  await claim(store, one.mailId, 1);
  await report(store, one.mailId, 1, 'rejected', '550 no such user');
  expect(await claim(store, two.mailId, 1)).toMatchObject({ kind: 'skip' });
  await store.queueDigest(1, [], { ...mail('a'), key: 'third', to: 'A@Example.test' });
  expect(await store.dueMails(1, 10)).toEqual([]);
  const states = (await store.recentMails(10)).map(({ state }) => state);
  expect(states.sort()).toEqual(['failed', 'suppressed', 'suppressed']);
});

test('outbox: a claim that ends without a report is unknown, counted, and published again as the next attempt', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const [due] = await queue(store, mail('a'));
  await store.mailPublished(1, due);
  await claim(store, due.mailId, 1);
  expect(await store.dueMails(1, 10)).toEqual([]);
  await client.query("UPDATE mails SET lease_until = clock_timestamp() - interval '1 ms'");
  expect(await store.dueMails(1, 10)).toMatchObject([{ mailId: due.mailId, attempt: 2 }]);
  expect(await stateOf(store)).toEqual({ state: 'unknown', attempt: 2 });
  expect((await client.query('SELECT unknowns FROM mails')).rows).toEqual([{ unknowns: 1 }]);
  expect(await claim(store, due.mailId, 1)).toMatchObject({ kind: 'skip' });
});

test('outbox: a late report that it was sent ends the mail before it is sent again', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const [{ mailId }] = await queue(store, mail('a'));
  await claim(store, mailId, 1);
  await (await connect()).query("UPDATE mails SET lease_until = clock_timestamp() - interval '1 ms'");
  await store.dueMails(1, 10);
  await report(store, mailId, 1, 'sent');
  expect(await stateOf(store)).toMatchObject({ state: 'sent' });
  expect(await claim(store, mailId, 2)).toMatchObject({ kind: 'skip' });
});

test('outbox: lost after DATA is unknown, counted, and tried again after a wait', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const [{ mailId }] = await queue(store, mail('a'));
  await claim(store, mailId, 1);
  expect(await report(store, mailId, 1, 'unknown', 'cut off after DATA')).toEqual({ state: 'unknown' });
  expect(await stateOf(store)).toEqual({ state: 'unknown', attempt: 2 });
  expect((await client.query('SELECT unknowns FROM mails')).rows).toEqual([{ unknowns: 1 }]);
  expect(await store.dueMails(1, 10)).toEqual([]);
  await makeDue(client);
  expect(await store.dueMails(1, 10)).toMatchObject([{ mailId, attempt: 2 }]);
});

test('outbox: three times in doubt, by whatever, a mail is given up: one more copy is worse than none', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const [{ mailId }] = await queue(store, mail('a'));
  await claim(store, mailId, 1);
  await report(store, mailId, 1, 'unknown');
  await makeDue(client);
  await claim(store, mailId, 2);
  await client.query("UPDATE mails SET lease_until = clock_timestamp() - interval '1 ms'");
  await store.dueMails(1, 10);
  await claim(store, mailId, 3);
  expect(await report(store, mailId, 3, 'unknown', 'no answer')).toEqual({ state: 'failed' });
  expect((await store.recentMails(1))[0]).toMatchObject({
    state: 'failed',
    attempt: 3,
    detail: 'no answer; 3 of its attempts may have arrived',
  });
  await makeDue(client);
  expect(await store.dueMails(1, 10)).toEqual([]);
});

test('outbox: three claims that end without a report end the mail too', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const [{ mailId }] = await queue(store, mail('a'));
  for (let attempt = 1; attempt <= 3; attempt++) {
    expect(await claim(store, mailId, attempt)).toMatchObject({ kind: 'send' });
    await client.query("UPDATE mails SET lease_until = clock_timestamp() - interval '1 ms'");
    await store.dueMails(1, 10);
  }
  expect(await stateOf(store)).toMatchObject({ state: 'failed' });
});

test('outbox: a claim holds longer than a mail may take, so that none is sent a second time beside the first', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const [{ mailId }] = await queue(store, mail('a'));
  await claim(store, mailId, 1);
  const { rows } = await client.query<{ held: number }>(
    'SELECT 1000 * extract(epoch FROM lease_until - changed_at)::float8 AS held FROM mails',
  );
  const { dialogueMs, answerMs, reportMs } = mailTimes;
  expect(rows[0]?.held).toBeGreaterThan(dialogueMs + answerMs + reportMs + 10_000); // Its answer takes some time too.
});

test('outbox: a report of another worker or attempt changes nothing', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const [{ mailId }] = await queue(store, mail('a'));
  await claim(store, mailId, 1, 'one');
  await report(store, mailId, 1, 'rejected', 'no', 'two').catch(() => undefined);
  await report(store, mailId, 2, 'retry', 'no', 'one').catch(() => undefined);
  expect(await stateOf(store)).toEqual({ state: 'claimed', attempt: 1 });
});

test('outbox: a published mail that nobody claims is published again, each time after a longer wait', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const [due] = await queue(store, mail('a'));
  const waits: number[] = [];
  for (let round = 0; round < 3; round++) {
    await store.mailPublished(1, due);
    expect(await store.dueMails(1, 10)).toEqual([]);
    const { rows } = await client.query<{ wait: number }>(
      'SELECT extract(epoch FROM published_until - clock_timestamp())::float8 AS wait FROM mails',
    );
    // The clock has gone on since; the waits double, so ten seconds confuse nobody.
    waits.push(Math.ceil((rows[0]?.wait ?? Number.NaN) / 10) * 10);
    await client.query("UPDATE mails SET published_until = clock_timestamp() - interval '1 ms'");
    expect(await store.dueMails(1, 10)).toEqual([due]);
  }
  expect(waits).toEqual([120, 240, 480]);
});

test('outbox: claims and reports of mails that never were are told so', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const nobody = '3f0e8a52-9a68-4f0c-8d5e-0c8b4a1d2e11';
  expect(await claim(store, nobody, 1)).toMatchObject({ kind: 'skip' });
  await expect(report(store, nobody, 1, 'sent')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

function mail(name: string): OutgoingMail {
  return {
    key: `price-drop/shop/${name}/1`,
    kind: 'price-drop',
    from: 'baton@example.test',
    to: `${name}@example.test`,
    messageId: `<${name}@example.test>`,
    bytes: Buffer.from(`rendered for ${name} \u00ff`),
    traceparent,
  };
}
/** Without a notice behind them; answers what is due. */
async function queue(store: Store, ...mails: OutgoingMail[]) {
  for (const one of mails) await store.queueDigest(1, [], one);
  const [due, ...others] = await store.dueMails(1, 10);
  if (!due) throw new Error('nothing is due');
  return [due, ...others] as const;
}
const claim = (store: Store, mailId: string, attempt: number, owner = 'worker') =>
  store.claimMail(1, mailId, { attempt, owner });
const report = (
  store: Store,
  mailId: string,
  attempt: number,
  outcome: MailResult['outcome'],
  detail = '',
  owner = 'worker',
) => store.mailResult(1, mailId, { attempt, owner, outcome, detail });
async function stateOf(store: Store) {
  const [newest] = await store.recentMails(1);
  return newest && { state: newest.state, attempt: newest.attempt };
}
const makeDue = (client: Client) =>
  client.query("UPDATE mails SET due_at = clock_timestamp() - interval '1 ms'");
