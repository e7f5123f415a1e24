// The certificate authority of a laptop and a leaf for each process, made at the first start and renewed before they
// end. There is no insecure mode: the same mutual TLS as on AWS, with the same code. Never leaves the data folder.
import 'reflect-metadata';
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as x509 from '@peculiar/x509';

export interface Leaf {
  readonly certFile: string;
  readonly keyFile: string;
  /** The same as file: URIs, as contracts/environment.ts wants them. */
  readonly certUri: string;
  readonly keyUri: string;
}
export interface Authority {
  readonly caFile: string;
  readonly caUri: string;
  /** PEM */
  readonly ca: string;
  readonly leaf: (name: string) => Leaf;
}

const day = 86_400_000;
const authorityMs = 3_650 * day;
const leafMs = 397 * day; // What browsers and macOS accept at most.
const renewBeforeMs = 30 * day;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Makes or renews what is missing or near its end; an authority that is renewed takes all its leaves with it. */
export async function openAuthority(folder: string, names: readonly string[]): Promise<Authority> {
  const paths = { cert: join(folder, 'ca.pem'), key: join(folder, 'ca.key') };
  const known = await readAuthority(paths);
  const authority = known ?? (await makeAuthority(paths));
  for (const name of names) {
    const { certFile, keyFile } = leafOf(folder, name);
    if (!(await isGood(certFile, keyFile, authority.cert)))
      await makeLeaf(authority, name, { certFile, keyFile });
  }
  return {
    caFile: paths.cert,
    caUri: pathToFileURL(paths.cert).href,
    ca: authority.cert.toString('pem'),
    leaf: (name) => leafOf(folder, name),
  };
}

interface Signer {
  readonly cert: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
}

function leafOf(folder: string, name: string): Leaf {
  const certFile = join(folder, `${name}.pem`);
  const keyFile = join(folder, `${name}.key`);
  return { certFile, keyFile, certUri: pathToFileURL(certFile).href, keyUri: pathToFileURL(keyFile).href };
}

async function readAuthority(paths: { cert: string; key: string }): Promise<Signer | undefined> {
  try {
    const cert = new x509.X509Certificate(await readFile(paths.cert, 'utf8'));
    if (cert.notAfter.getTime() < Date.now() + leafMs) return undefined;
    const pem = x509.PemConverter.decodeFirst(await readFile(paths.key, 'utf8'));
    return { cert, key: await webcrypto.subtle.importKey('pkcs8', pem, algorithm, false, ['sign']) };
  } catch {
    return undefined; // Missing, or half of it is: made anew as a pair.
  }
}

async function makeAuthority(paths: { cert: string; key: string }): Promise<Signer> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: 'CN=Baton local authority',
      ...validFor(authorityMs),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  await writeWhole(paths.key, await pemOf(keys.privateKey), 0o600);
  await writeWhole(paths.cert, `${cert.toString('pem')}\n`, 0o644);
  return { cert, key: keys.privateKey };
}

async function makeLeaf(
  authority: Signer,
  name: string,
  files: { certFile: string; keyFile: string },
): Promise<void> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: `CN=${name}`,
      issuer: authority.cert.subject,
      ...validFor(leafMs),
      signingKey: authority.key,
      publicKey: keys.publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension([
          { type: 'dns', value: 'localhost' },
          { type: 'dns', value: name },
          { type: 'ip', value: '127.0.0.1' },
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(authority.cert.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  await writeWhole(files.keyFile, await pemOf(keys.privateKey), 0o600);
  await writeWhole(files.certFile, `${cert.toString('pem')}\n`, 0o644);
}

async function isGood(certFile: string, keyFile: string, authority: x509.X509Certificate): Promise<boolean> {
  try {
    const cert = new X509Certificate(await readFile(certFile, 'utf8'));
    await readFile(keyFile);
    return (
      cert.verify(new X509Certificate(authority.toString('pem')).publicKey) &&
      Date.parse(cert.validTo) > Date.now() + renewBeforeMs
    );
  } catch {
    return false; // Missing or unreadable.
  }
}

function validFor(ms: number): { notBefore: Date; notAfter: Date } {
  // An hour back, for clocks that differ between containers.
  return { notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + ms) };
}
function serialNumber(): string {
  return `01${randomBytes(15).toString('hex')}`; // Positive and unique: RFC 5280 section 4.1.2.2.
}
async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  return `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`;
}
async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  await writeFile(`${file}.part`, text, { mode });
  await rename(`${file}.part`, file);
}
