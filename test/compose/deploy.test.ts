// `cdk deploy` of the functions stack into emulators of AWS, each alone in a container: as the deployer does it, again without
// a change, again with another function, and `cdk destroy`.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { App } from 'aws-cdk-lib';
import { strToU8, zipSync } from 'fflate';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readStage } from '../../cdk/stage.ts';
import { buildSystem } from '../../cdk/system.ts';
import { directoryTable, functionNames, sqsQueues } from '../../contracts/topology.ts';
import { createInvokeClient, type InvokeOutcome } from '../../emulator/event-sources/invoke-client.ts';
import { withCdk } from '../../emulator/containers/deployer/cdk.ts';
import { deployStack, stackName } from '../../emulator/containers/deployer/deploy-stack.ts';
import { docker } from '../../emulator/commands/compose-project.ts';
import { bundleAll } from '../../functions/bundle.ts';
import { cdkJson } from '../cdk/synthesize.ts';
import { eventually } from '../support/running-system.ts';
import { dockerAnswers, temporaryFolder } from './containers.ts';

const region = 'us-east-1';
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
const answersWithinMs = 60_000;
const deployedWithinMs = 240_000;
const emulators = [
  { name: 'LocalStack', image: 'localstack/localstack:4.14.0', port: 18_570 },
  // Has no official image: docs/local.md says how one is made.
  { name: 'MiniStack', image: 'ministack:1.5.33', port: 18_571, inFullRuns: true },
] as const;

function isThere(image: string): boolean {
  if (!dockerAnswers) return false;
  try {
    execFileSync('docker', ['image', 'inspect', image], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

for (const { name, image, port, ...when } of emulators) {
  // The system in containers runs on LocalStack; whether another one takes the stack changes with its releases alone.
  const onlyIn =
    process.env['CI'] !== undefined && process.env['CI_FULL'] === undefined && 'inFullRuns' in when;
  const reason = onlyIn ? 'CI_FULL=1 runs it' : `skipped where ${image} is missing`;
  describe.skipIf(onlyIn || !isThere(image))(`cdk deploy into ${name} (${reason})`, () => {
    const endpoint = `http://127.0.0.1:${port}`;
    const sdk = { region, endpoint, credentials };
    let container: string;
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;

    beforeAll(async () => {
      folder = await temporaryFolder();
      await synthesize(join(folder.path, 'first'));
      await synthesize(join(folder.path, 'second'), { redirect: changedFunction(folder.path) });
      container = (
        await docker(
          'run',
          '--detach',
          '--rm',
          '--init',
          `--publish=127.0.0.1:${port}:4566`,
          `--env=LOCALSTACK_HOST=127.0.0.1:${port}`,
          '--env=SQS_ENDPOINT_STRATEGY=path',
          image,
        )
      ).trim();
      await eventually(
        'an answer',
        () => health(endpoint),
        (code) => code === 200,
        answersWithinMs,
      );
    });
    afterAll(async () => {
      if (container) await docker('rm', '--force', '--volumes', container);
      await folder?.[Symbol.asyncDispose]();
    });

    const place = (assembly: 'first' | 'second') => ({
      endpoint,
      region,
      assembly: join(folder.path, assembly),
    });

    test('makes every function, queue and table', { timeout: deployedWithinMs }, async () => {
      expect(await deployStack(place('first'))).toContain(`✅  ${stackName}`);
      expect(await deployed(sdk)).toEqual({
        functions: [...functionNames].sort(),
        queues: Object.values(sqsQueues)
          .map(({ name }) => name)
          .sort(),
        tables: [directoryTable.name],
      });
    });

    test('again: there is no change', { timeout: deployedWithinMs }, async () => {
      expect(await deployStack(place('first'))).toContain('(no changes)');
    });

    test('a changed function is the one that answers', { timeout: deployedWithinMs }, async () => {
      expect(await callRedirect(endpoint)).not.toMatchObject({ payload: { statusCode: 299 } });
      await deployStack(place('second'));
      await eventually(
        'the changed answer',
        () => callRedirect(endpoint),
        (outcome) => outcome.kind === 'answered' && JSON.stringify(outcome.payload).includes('299'),
        answersWithinMs,
      );
    });

    test('cdk destroy leaves nothing', { timeout: deployedWithinMs }, async () => {
      await withCdk(place('second'), (cdk) => cdk('destroy', stackName, '--force'));
      expect(await deployed(sdk)).toEqual({ functions: [], queues: [], tables: [] });
    });
  });
}

/** The stage `local`, with the functions as they are or with others. */
async function synthesize(outdir: string, others: Partial<Record<string, string>> = {}): Promise<void> {
  const bundles = await bundleAll();
  const functions = Object.fromEntries(
    functionNames.map((name) => [name, { zipFile: others[name] ?? bundles[name].zipFile }]),
  ) as typeof bundles;
  const app = new App({ outdir, context: { ...cdkJson().context, stage: 'local' } });
  // Those that serve a deployment to AWS are not part of this stage.
  const unused = bundles.redirect.zipFile;
  buildSystem(app, readStage(app.node), { functions, secretKeeper: unused, brokerTopology: unused });
  app.synth();
}

function changedFunction(folder: string): string {
  const zipFile = join(folder, 'changed', 'redirect.zip');
  mkdirSync(join(folder, 'changed'));
  const code = 'export const handler = async () => ({ statusCode: 299 });';
  writeFileSync(zipFile, zipSync({ 'index.mjs': [strToU8(code), { mtime: new Date(1980, 0, 1) }] }));
  return zipFile;
}

async function health(endpoint: string): Promise<number> {
  const { statusCode, body } = await request(`${endpoint}/_localstack/health`);
  await body.dump();
  return statusCode;
}

async function callRedirect(endpoint: string): Promise<InvokeOutcome> {
  const client = createInvokeClient(endpoint);
  try {
    return await client.invoke('redirect', '{}', { timeoutMs: answersWithinMs });
  } finally {
    await client.close();
  }
}

async function deployed(sdk: {
  region: string;
  endpoint: string;
  credentials: typeof credentials;
}): Promise<{ functions: string[]; queues: string[]; tables: string[] }> {
  const { body } = await request(`${sdk.endpoint}/2015-03-31/functions/`);
  const { Functions } = (await body.json()) as { Functions: { FunctionName: string }[] };
  const sqs = new SQSClient(sdk);
  const dynamodb = new DynamoDBClient(sdk);
  try {
    const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({}));
    const { TableNames = [] } = await dynamodb.send(new ListTablesCommand({}));
    return {
      functions: Functions.map(({ FunctionName }) => FunctionName).sort(),
      queues: QueueUrls.map((url) => url.split('/').at(-1) ?? url).sort(),
      tables: TableNames,
    };
  } finally {
    sqs.destroy();
    dynamodb.destroy();
  }
}
