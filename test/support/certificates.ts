// A certificate authority and one leaf for 127.0.0.1 and localhost, made for a test and written to its folder.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

export interface TestCertificates {
  /** PEM */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export async function makeCertificates(folder: string): Promise<TestCertificates> {
  const pair = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const [authority, leaf] = [await pair(), await pair()];
  const notBefore = new Date(Date.now() - 60_000);
  const notAfter = new Date(Date.now() + 3_600_000);
  const ca = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: 'CN=test authority',
      notBefore,
      notAfter,
      keys: authority,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    },
    webcrypto,
  );
  const cert = await x509.X509CertificateGenerator.create(
    {
      serialNumber: '02',
      subject: 'CN=localhost',
      issuer: ca.subject,
      notBefore,
      notAfter,
      signingKey: authority.privateKey,
      publicKey: leaf.publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: 'dns', value: 'localhost' },
          { type: 'ip', value: '127.0.0.1' },
        ]),
      ],
    },
    webcrypto,
  );
  const key = x509.PemConverter.encode(
    await webcrypto.subtle.exportKey('pkcs8', leaf.privateKey),
    'PRIVATE KEY',
  );
  const files = {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
  };
  await writeFile(files.caFile, ca.toString('pem'));
  await writeFile(files.certFile, cert.toString('pem'));
  await writeFile(files.keyFile, key, { mode: 0o600 });
  return { ca: ca.toString('pem'), cert: cert.toString('pem'), key, ...files };
}
