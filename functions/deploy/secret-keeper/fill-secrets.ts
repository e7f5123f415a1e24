// Makes every secret that no person has to give: the cluster's authority and certificates, the keys that seal votes,
// the API's tokens, the public authorities of AWS's servers. Fills what is missing, renews what nears its end, and
// leaves everything else alone, so it can run at any time. Never logs a secret.
import { randomBytes } from 'node:crypto';
import type * as z from 'zod';
import type { CertificateOwner } from '../../../contracts/environment.ts';
import {
  clusterKeysSchema,
  keyPairSchema,
  leafSchema,
  tokensSchema,
  trustSchema,
  type ClusterKeys,
  type MadeSecretName,
  type Tokens,
  type Trust,
} from '../../../contracts/secrets.ts';
import {
  isDue,
  makeAuthority,
  makeLeaf,
  readCertificate,
  type KeyPair,
} from '../../../runtime/certificates.ts';
import { parseJson } from '../../../runtime/parse-json.ts';

export interface SecretStore {
  /** Undefined when it has no value yet. @throws Error when it cannot be read. */
  read(name: MadeSecretName): Promise<string | undefined>;
  write(name: MadeSecretName, text: string): Promise<void>;
}
export interface FillOptions {
  readonly store: SecretStore;
  readonly cluster: string;
  readonly certificates: readonly CertificateOwner[];
  /** PEM of the authorities of RDS in this region, and of Amazon's public ones. */
  readonly fetchTrust: () => Promise<Trust>;
  /** Told of what can wait until tomorrow. */
  readonly warn: (message: string, cause: unknown) => void;
  /** Epoch milliseconds. */
  readonly now: number;
}
export interface Filled {
  readonly written: readonly MadeSecretName[];
  /** Days until each certificate ends, the authority's own included. */
  readonly daysLeft: Readonly<Record<string, number>>;
}

const day = 86_400_000;
const leafDays = 90; // Renewed after 60 without anybody's help, so a stolen key is of use for weeks only.

export async function fillSecrets(options: FillOptions): Promise<Filled> {
  const { store, now } = options;
  const written: MadeSecretName[] = [];
  const daysLeft: Record<string, number> = {};
  const write = async (name: MadeSecretName, value: unknown): Promise<void> => {
    await store.write(name, JSON.stringify(value));
    written.push(name);
  };

  let authority = parse(keyPairSchema, await store.read('authority'));
  if (!authority || !readCertificate(authority.cert)) {
    authority = await makeAuthority({ name: `${options.cluster} authority`, now });
    await write('authority', authority);
  }
  daysLeft['authority'] = daysTo(authority.cert, now);

  for (const plan of options.certificates) {
    const name = `tls/${plan.name}` as const;
    let leaf: KeyPair | undefined = parse(leafSchema, await store.read(name));
    if (!leaf || !isGood(leaf, authority, plan, now)) {
      leaf = await makeLeaf(authority, { ...plan, days: leafDays, now });
      await write(name, { ca: authority.cert, ...leaf });
    }
    daysLeft[plan.name] = daysTo(leaf.cert, now);
  }

  if (!parse(clusterKeysSchema, await store.read('cluster-keys')))
    await write('cluster-keys', {
      current: { id: 1, key: randomBytes(32).toString('base64') },
    } satisfies ClusterKeys);
  if (!parse(tokensSchema, await store.read('tokens')))
    await write('tokens', {
      reader: token(),
      editor: token(),
      operator: token(),
    } satisfies Tokens);

  const known = parse(trustSchema, await store.read('trust'));
  const trust = await options.fetchTrust().catch((error: unknown) => {
    if (!known) throw error; // Without any, nothing works yet; what is known is good for years.
    options.warn('the public authorities of before go on', error);
    return known;
  });
  if (known?.database !== trust.database || known.broker !== trust.broker) await write('trust', trust);
  return { written, daysLeft };
}

function isGood(leaf: KeyPair, authority: KeyPair, { name, hosts }: CertificateOwner, now: number): boolean {
  const cert = readCertificate(leaf.cert);
  const issuer = readCertificate(authority.cert);
  return (
    cert !== undefined &&
    issuer !== undefined &&
    cert.verify(issuer.publicKey) &&
    [name, ...hosts].every((host) => cert.checkHost(host) !== undefined) &&
    !isDue(cert, now)
  );
}

function daysTo(pem: string, now: number): number {
  const cert = readCertificate(pem);
  return cert ? Math.floor((Date.parse(cert.validTo) - now) / day) : 0;
}
function token(): string {
  return randomBytes(24).toString('base64url');
}
/** Undefined for what is missing, or what no process would take, as the random text that CloudFormation made it with: it is made anew. */
function parse<T>(schema: z.ZodType<T>, text: string | undefined): T | undefined {
  return schema.safeParse(parseJson(text ?? '')).data;
}
