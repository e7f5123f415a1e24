// The zips that are deployed: each holds all it needs, and says what is missing in its environment.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EnvironmentInput } from '../../../contracts/environment.ts';
import { functionNames, type FunctionName } from '../../../contracts/topology.ts';
import { bundleAll } from '../../../functions/bundle.ts';

const run = promisify(execFile);
const cluster = {
  BATON_CLUSTER: 'test',
  BATON_DIRECTORY_TABLE: 'baton-directory',
  AWS_REGION: 'eu-central-1',
};
const caller = {
  ...cluster,
  BATON_NODE_URLS: 'https://127.0.0.1:1',
  BATON_TLS_CA_URI: 'file:/ca',
  BATON_TLS_CERT_URI: 'file:/cert',
  BATON_TLS_KEY_URI: 'file:/key',
  BATON_BROKER_URL: 'amqps://127.0.0.1:1/',
  BATON_BROKER_CREDENTIALS_URI: 'file:/credentials',
};
const ftp = { BATON_FTP_ADDRESS: '127.0.0.1:1', BATON_FTP_CREDENTIALS_URI: 'file:/credentials' };
const variables: { [Name in FunctionName]: EnvironmentInput<Name> } = {
  scraper: { ...caller, ...ftp },
  deliver: caller,
  announce: cluster,
  redirect: cluster,
  'ftp-sync': { ...caller, ...ftp },
  mail: { ...caller, BATON_SMTP_ADDRESS: '127.0.0.1:1', BATON_SMTP_CREDENTIALS_URI: 'file:/credentials' },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-bundles-'));
  const bundles = await bundleAll({ zipFolder: folder });
  for (const { name, zipFile } of Object.values(bundles)) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'index.mjs'), unzipSync(await readFile(zipFile))['index.mjs'] ?? '');
  }
});
afterAll(() => rm(folder, { recursive: true }));

/** Away from the checkout, so that no package is found beside it. */
const load = (name: FunctionName, environment: Readonly<Record<string, string>>) =>
  run(
    process.execPath,
    ['--input-type=module', '-e', "console.log(typeof (await import('./index.mjs')).handler)"],
    { cwd: join(folder, name), env: environment, timeout: 20_000 },
  );

describe('bundles', () => {
  it.each(functionNames)('bundles: %s loads alone with the variables of its contract', async (name) => {
    const environment = Object.fromEntries(
      Object.entries(variables[name]).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
    );
    expect((await load(name, environment)).stdout).toBe('function\n');
  });

  it('bundles: one without its environment names every variable that is missing', async () => {
    const failed = await load('deliver', {}).then(
      () => '',
      (error: { stderr: string }) => error.stderr,
    );
    for (const name of Object.keys(caller)) expect(failed).toContain(`${name} is missing`);
  });
});
