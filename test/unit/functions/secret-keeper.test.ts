// The secrets that no person gives: filled when they are missing, renewed when they near their end, and left alone else.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { openAuthority } from '../../../emulator/instance/authority.ts';
import type { CertificateOwner } from '../../../contracts/environment.ts';
import { fillSecrets } from '../../../functions/deploy/secret-keeper/fill-secrets.ts';

const day = 86_400_000;
const begin = Date.parse('2026-11-25T00:00:00Z');
const nodes: CertificateOwner[] = [
  { name: 'node-1', hosts: ['node-1.baton-dev.internal'] },
  { name: 'node-2', hosts: ['node-2.baton-dev.internal'] },
];
const everything = ['authority', 'tls/node-1', 'tls/node-2', 'cluster-keys', 'tokens', 'trust'];

function keeper() {
  const secrets = new Map<string, string>();
  return {
    secrets,
    certificate: (name: string) =>
      new X509Certificate((JSON.parse(secrets.get(name) ?? '{}') as { cert: string }).cert),
    /** What it wrote. */
    fill: async (
      atDay: number,
      certificates = nodes,
      fetchTrust = () => Promise.resolve({ database: 'of RDS', broker: 'of Amazon' }),
    ) => {
      const warnings: string[] = [];
      const { written, daysLeft } = await fillSecrets({
        store: {
          read: (name) => Promise.resolve(secrets.get(name)),
          write: (name, text) => {
            secrets.set(name, text);
            return Promise.resolve();
          },
        },
        cluster: 'baton-dev',
        certificates,
        fetchTrust,
        warn: (message) => warnings.push(message),
        now: begin + atDay * day,
      });
      return { written, daysLeft, warnings };
    },
  };
}

test('secret keeper: what is missing is filled, and a second look writes nothing', async () => {
  const { fill, certificate } = keeper();
  const { written, daysLeft } = await fill(0);
  expect(written).toEqual(everything);
  expect(daysLeft).toEqual({ authority: 3_650, 'node-1': 90, 'node-2': 90 });
  expect((await fill(1)).written).toEqual([]);
  const [authority, leaf] = [certificate('authority'), certificate('tls/node-1')];
  expect(leaf.verify(authority.publicKey)).toBe(true);
  expect(leaf.checkHost('node-1.baton-dev.internal')).toBeDefined();
  expect(leaf.checkHost('node-2.baton-dev.internal')).toBeUndefined();
});

test('secret keeper: a certificate is renewed at two thirds of its life, with thirty days to take it up', async () => {
  const { fill } = keeper();
  await fill(0);
  expect((await fill(59)).written).toEqual([]);
  const { written, daysLeft } = await fill(61);
  expect(written).toEqual(['tls/node-1', 'tls/node-2']);
  expect(daysLeft).toMatchObject({ 'node-1': 90, 'node-2': 90 });
});

test('secret keeper: another host is another certificate, and random text of CloudFormation is none', async () => {
  const { fill, secrets } = keeper();
  await fill(0);
  const [first, ...others] = nodes as [CertificateOwner, CertificateOwner];
  expect((await fill(1, [{ ...first, hosts: ['elsewhere.internal'] }, ...others])).written).toEqual([
    'tls/node-1',
  ]);
  secrets.set('tls/node-2', 'fr4N-not-json');
  expect((await fill(2, [{ ...first, hosts: ['elsewhere.internal'] }, ...others])).written).toEqual([
    'tls/node-2',
  ]);
});

test('secret keeper: a day without the list of public authorities still counts days and renews; the first day fails', async () => {
  const { fill } = keeper();
  const outOfReach = () => Promise.reject(new Error('503'));
  await expect(fill(0, nodes, outOfReach)).rejects.toThrow('503');
  await fill(0);
  const { written, daysLeft, warnings } = await fill(61, nodes, outOfReach);
  expect(written).toEqual(['tls/node-1', 'tls/node-2']);
  expect(daysLeft).toMatchObject({ 'node-1': 90, 'node-2': 90 });
  expect(warnings).toEqual(['the public authorities of before go on']);
});

test('secret keeper: a lost authority takes all its certificates with it', async () => {
  const { fill, secrets } = keeper();
  await fill(0);
  secrets.delete('authority');
  expect((await fill(1)).written).toEqual(['authority', 'tls/node-1', 'tls/node-2']);
});

test('authority of a laptop: kept over starts, and made anew as a pair when half of it is lost', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'baton-authority-'));
  try {
    const first = await openAuthority(folder, ['node-1']);
    const leaf = await readFile(first.leaf('node-1').certFile, 'utf8');
    expect(new X509Certificate(leaf).verify(new X509Certificate(first.ca).publicKey)).toBe(true);
    expect(new X509Certificate(leaf).checkIP('127.0.0.1')).toBe('127.0.0.1');
    const again = await openAuthority(folder, ['node-1', 'mail']);
    expect(again.ca).toBe(first.ca);
    expect(await readFile(again.leaf('node-1').certFile, 'utf8')).toBe(leaf);
    await rm(join(folder, 'ca.key'));
    const renewed = await openAuthority(folder, ['node-1']);
    expect(renewed.ca).not.toBe(first.ca);
    const fresh = new X509Certificate(await readFile(renewed.leaf('node-1').certFile, 'utf8'));
    expect(fresh.verify(new X509Certificate(renewed.ca).publicKey)).toBe(true);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('secret keeper: tokens and keys that no node would take are made anew', async () => {
  const { secrets, fill } = keeper();
  await fill(0);
  secrets.set('tokens', JSON.stringify({ reader: 'short', editor: 'short', operator: 'short' }));
  secrets.set('cluster-keys', JSON.stringify({ current: { id: 1, key: 'no key' } }));
  expect((await fill(1)).written).toEqual(['cluster-keys', 'tokens']);
});
