// `cdk bootstrap` and `cdk deploy` of the functions stack into an emulator of AWS, by the very program that deploys to
// AWS. Idempotent: without a change it takes a few seconds.
import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { functionNames, functions } from '../../../contracts/topology.ts';

const run = promisify(execFile);
const withinMs = 240_000; // 30 s on an idle machine.
const outputBytesMax = 4 * 1024 * 1024;
const accountId = '000000000000'; // The emulators' own.
const stackName = 'baton-local-functions';

/** The one with a URL, which cdk makes after its function: when it is there, so is the rest. */
export const lastFunction = functionNames.find((name) => functions[name].functionUrl) ?? functionNames[0];

/** @throws Error with the last of what cdk said. */
export async function deployStack({
  endpoint,
  region,
  signal,
  assembly = fileURLToPath(new URL('../../../cdk.out', import.meta.url)),
}: {
  endpoint: string;
  region: string;
  signal: AbortSignal;
  /** What `cdk synth -c stage=local` made. */
  assembly?: string;
}): Promise<void> {
  // cdk writes locks into the folder that it deploys, and the image is read-only.
  const folder = await mkdtemp(join(tmpdir(), 'baton-deploy-'));
  try {
    await cp(assembly, join(folder, 'cdk.out'), { recursive: true });
    const env = await environmentOf({ endpoint, region, home: folder });
    const cdk = async (...args: string[]) => {
      await run(process.execPath, [createRequire(import.meta.url).resolve('aws-cdk/bin/cdk'), ...args], {
        cwd: folder,
        env,
        signal,
        timeout: withinMs,
        maxBuffer: outputBytesMax,
      }).catch((cause: unknown) => {
        const { stderr = '', stdout = '' } = cause as { stderr?: string; stdout?: string };
        throw new Error(`cdk ${args[0]} failed: ${(stderr + stdout).trim().slice(-2_000)}`, { cause });
      });
    };
    await cdk('bootstrap', `aws://${accountId}/${region}`);
    await cdk('deploy', stackName, '--app', 'cdk.out', '--require-approval', 'never');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function environmentOf({
  endpoint,
  region,
  home,
}: {
  endpoint: string;
  region: string;
  home: string;
}): Promise<Record<string, string>> {
  // Of S3 by number: to a name the SDK adds the bucket's, as `bucket.localstack`, which nobody resolves.
  const byNumber = new URL(endpoint);
  byNumber.hostname = (await lookup(byNumber.hostname, 4)).address;
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    CI: 'true',
    AWS_ENDPOINT_URL: endpoint,
    AWS_ENDPOINT_URL_S3: byNumber.origin,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    CDK_DISABLE_CLI_TELEMETRY: 'true',
    CDK_DISABLE_VERSION_CHECK: 'true',
  };
}
