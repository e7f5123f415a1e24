// The very program that deploys to AWS, pointed at an emulator of it, on a copy of what `cdk synth` made.
import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { localstackCredentials } from '../../local-aws.ts';

const run = promisify(execFile);
const withinMs = 600_000; // 30 s on an idle machine; LocalStack waits for processors as everybody does.
const outputBytesMax = 4 * 1024 * 1024;
const program = createRequire(import.meta.url).resolve('aws-cdk/bin/cdk');

export interface CdkPlace {
  readonly endpoint: string;
  readonly region: string;
  /** What `cdk synth` made. */
  readonly assembly: string;
  readonly signal?: AbortSignal;
}
/** @returns what it said. @throws Error with the last of it. */
export type Cdk = (...args: string[]) => Promise<string>;

export async function withCdk<T>(
  { endpoint, region, assembly, signal }: CdkPlace,
  work: (cdk: Cdk) => Promise<T>,
): Promise<T> {
  // It writes locks into the folder that it deploys, and the container's image is read-only.
  const folder = await mkdtemp(join(tmpdir(), 'baton-deploy-'));
  try {
    await cp(assembly, join(folder, 'cdk.out'), { recursive: true });
    const env = await environmentOf({ endpoint, region, home: folder });
    return await work(async (...args) => {
      try {
        const { stdout, stderr } = await run(process.execPath, [program, ...args, '--app', 'cdk.out'], {
          cwd: folder,
          env,
          timeout: withinMs,
          maxBuffer: outputBytesMax,
          ...(signal ? { signal } : {}),
        });
        return stdout + stderr;
      } catch (cause) {
        const { stderr = '', stdout = '' } = cause as { stderr?: string; stdout?: string };
        throw new Error(`cdk ${args[0]} failed: ${(stderr + stdout).trim().slice(-2_000)}`, { cause });
      }
    });
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
    AWS_ACCESS_KEY_ID: localstackCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: localstackCredentials.secretAccessKey,
    CDK_DISABLE_CLI_TELEMETRY: 'true',
    CDK_DISABLE_VERSION_CHECK: 'true',
  };
}
