// Sessions of the page: which node takes which, until when, and what ends all of them.
import type { FastifyRequest } from 'fastify';
import { beforeEach, expect, test } from 'vitest';
import { Guard, sessionCookie } from '../../../nodes/web/guard.ts';

const tokens = {
  reader: 'reader-token-of-the-test',
  editor: 'editor-token-of-the-test',
  operator: 'operator-token-of-the-test',
};
const hour = 3_600_000;
let now: number;
beforeEach(() => (now = Date.parse('2026-01-01T00:00:00Z')));

/** A process of a node: it has the tokens, and remembers nothing of the one before it. */
const nodeWith = (known = tokens) =>
  new Guard({ tokens: async () => known, hosts: () => new Set(), now: () => now });
const withSession = (session: string, headers: Record<string, string> = { origin: 'http://node' }) =>
  ({
    headers: { cookie: `theme=dark; ${sessionCookie}=${session}`, ...headers },
  }) as unknown as FastifyRequest;
async function opened(guard: Guard): Promise<string> {
  const session = await guard.openSession(guard.newKey());
  if (session === undefined) throw new Error('the key was refused');
  return session;
}
const refused = { code: 'UNAUTHENTICATED' };

test('a session outlives the process that opened it, and every node of the cluster takes it', async () => {
  const session = await opened(nodeWith());
  const other = nodeWith();
  await other.require(withSession(session), 'operator');
  expect(await other.tokenOf(withSession(session))).toBe(tokens.operator);
});

test('a session ends after twelve hours', async () => {
  const guard = nodeWith();
  const session = await opened(guard);
  now += 12 * hour - 1_000;
  await guard.require(withSession(session), 'operator');
  now += 2_000;
  await expect(guard.require(withSession(session), 'operator')).rejects.toMatchObject(refused);
});

test('a new token of the role ends its sessions', async () => {
  const session = await opened(nodeWith());
  await nodeWith({ ...tokens, reader: 'another-reader-token' }).require(withSession(session), 'operator');
  const rolled = nodeWith({ ...tokens, operator: 'another-operator-token' });
  await expect(rolled.require(withSession(session), 'operator')).rejects.toMatchObject(refused);
});

test('no part of a session can be changed: role, end or signature', async () => {
  const guard = nodeWith();
  const [role, until, signature] = (await opened(guard)).split('.') as [string, string, string];
  for (const forged of [
    `${role}.${Number(until) + 1}.${signature}`,
    `editor.${until}.${signature}`,
    `${role}.${until}.${'A'.repeat(signature.length)}`,
    `${role}.${until}.`,
    `${role}.${until}`,
    `toString.${until}.${signature}`,
    '',
  ])
    await expect(guard.require(withSession(forged), 'reader'), forged).rejects.toMatchObject(refused);
});

test('a key opens one session, within ten minutes', async () => {
  const guard = nodeWith();
  const key = guard.newKey();
  expect(await guard.openSession(key)).toEqual(expect.any(String));
  expect(await guard.openSession(key)).toBeUndefined();
  const late = guard.newKey();
  now += hour / 6 + 1;
  expect(await guard.openSession(late)).toBeUndefined();
});

test('a session changes nothing without an Origin, and is known all the same', async () => {
  const guard = nodeWith();
  const request = withSession(await opened(guard), {});
  await expect(guard.require(request, 'operator')).rejects.toMatchObject(refused);
  expect(await guard.sessionRole(request)).toBe('operator');
  expect(await guard.sessionRole(withSession('', {}))).toBeUndefined();
});
