// Makes every secret that no person has to give: the cluster's authority and certificates, the keys that seal votes,
// the API's tokens, the public authorities of AWS's servers. Fills what is missing, renews what nears its end, and
// leaves everything else alone, so it can run at any time. Never logs a secret.
import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { isDue, makeAuthority, makeLeaf, readCertificate, type KeyPair } from '../../runtime/certificates.ts';
import { parseJson } from '../../runtime/parse-json.ts';

export interface SecretStore {
  /** Undefined when it has no value yet. @throws Error when it cannot be read. */
  read(name: string): Promise<string | undefined>;
  write(name: string, text: string): Promise<void>;
}
export interface CertificatePlan {
  readonly name: string;
  /** DNS names of its owner, besides `name`. */
  readonly hosts: readonly string[];
}
export interface FillOptions {
  readonly store: SecretStore;
  readonly cluster: string;
  readonly certificates: readonly CertificatePlan[];
  /** PEM of the authorities of RDS in this region, and of Amazon's public ones. */
  readonly fetchTrust: () => Promise<{ database: string; broker: string }>;
  /** Told of what can wait until tomorrow. */
  readonly warn: (message: string, cause: unknown) => void;
  /** Epoch milliseconds. */
  readonly now: number;
}
export interface Filled {
  readonly written: readonly string[];
  /** Days until each certificate ends, the authority's own included. */
  readonly daysLeft: Readonly<Record<string, number>>;
}

const pairSchema = z.object({ cert: z.string(), key: z.string() });
const leafSchema = pairSchema.extend({ ca: z.string() });
const keysSchema = z.object({ current: z.object({ id: z.int(), key: z.string() }) });
const tokensSchema = z.object({ reader: z.string(), editor: z.string(), operator: z.string() });
const trustSchema = z.object({ database: z.string(), broker: z.string() });
const day = 86_400_000;
const leafDays = 90; // Renewed after 60 without anybody's help, so a stolen key is of use for weeks only.

export async function fillSecrets(options: FillOptions): Promise<Filled> {
  const { store, now } = options;
  const written: string[] = [];
  const daysLeft: Record<string, number> = {};
  const write = async (name: string, value: unknown): Promise<void> => {
    await store.write(name, JSON.stringify(value));
    written.push(name);
  };

  let authority = parse(pairSchema, await store.read('authority'));
  if (!authority || !readCertificate(authority.cert)) {
    authority = await makeAuthority({ name: `${options.cluster} authority`, now });
    await write('authority', authority);
  }
  daysLeft['authority'] = daysTo(authority.cert, now);

  for (const plan of options.certificates) {
    const name = `tls/${plan.name}`;
    let leaf: KeyPair | undefined = parse(leafSchema, await store.read(name));
    if (!leaf || !isGood(leaf, authority, plan, now)) {
      leaf = await makeLeaf(authority, { ...plan, days: leafDays, now });
      await write(name, { ca: authority.cert, ...leaf });
    }
    daysLeft[plan.name] = daysTo(leaf.cert, now);
  }

  if (!parse(keysSchema, await store.read('cluster-keys')))
    await write('cluster-keys', { current: { id: 1, key: randomBytes(32).toString('base64') } });
  if (!parse(tokensSchema, await store.read('tokens')))
    await write('tokens', { reader: token(), editor: token(), operator: token() });

  const known = parse(trustSchema, await store.read('trust'));
  const trust = await options.fetchTrust().catch((error: unknown) => {
    if (!known) throw error; // Without any, nothing works yet; what is known is good for years.
    options.warn('the public authorities of before go on', error);
    return known;
  });
  if (known?.database !== trust.database || known.broker !== trust.broker) await write('trust', trust);
  return { written, daysLeft };
}

function isGood(leaf: KeyPair, authority: KeyPair, { name, hosts }: CertificatePlan, now: number): boolean {
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
/** Undefined for what is missing or of another shape, as the random text that CloudFormation made it with: both are made anew. */
function parse<T>(schema: z.ZodType<T>, text: string | undefined): T | undefined {
  return schema.safeParse(parseJson(text ?? '')).data;
}
