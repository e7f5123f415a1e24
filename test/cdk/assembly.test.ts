// The templates as a whole: the same at every synthesis, without a finding that nobody explained, with the CLI that can
// deploy them, and listed for review in listings/ (`vitest run --project cdk -u` writes them after a change).
import { readFileSync } from 'node:fs';
import { Validations, type App, type IPolicyValidationPlugin } from 'aws-cdk-lib';
import { CfnQueue, type CfnQueueProps } from 'aws-cdk-lib/aws-sqs';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { listing } from './listing.ts';
import { cdkJson, stackOf, synthesize, synthesized, synthesizeWith, type Synthesized } from './synthesize.ts';

const stackNames = ['network', 'data', 'broker', 'functions', 'nodes', 'event-sources', 'monitoring'];

describe('assembly', () => {
  test.each(['dev', 'prod', 'local'])('assembly: %s is the same at every synthesis', (stage) => {
    expect(synthesize(stage).stacks).toEqual(synthesized(stage).stacks);
  });

  test('assembly: no stack needs an account, a region or a look-up', () => {
    for (const { environment } of synthesized('prod').stacks)
      expect(environment).toBe('aws://unknown-account/unknown-region');
    expect(Object.keys(cdkJson().context)).not.toContainEqual(expect.stringMatching(/^[a-z-]+:account=/));
  });

  test('assembly: stacks are deployed in the order of their lifetimes', () => {
    const { stacks } = synthesized('prod');
    expect(stacks.map(({ name }) => name).toSorted()).toEqual(stackNames.toSorted());
    for (const { name, dependencies } of stacks)
      for (const before of dependencies)
        expect(stackNames.indexOf(before)).toBeLessThan(stackNames.indexOf(name));
  });

  test.each(stackNames)('assembly: what is in %s was reviewed', async (name) => {
    await expect(listing(stackOf(synthesized('dev'), name))).toMatchFileSnapshot(`listings/${name}.txt`);
  });

  test('assembly: what prod has otherwise than dev was reviewed', async () => {
    const lines = (stage: string) =>
      stackNames.flatMap((name) =>
        listing(stackOf(synthesized(stage), name))
          .replaceAll(`baton-${stage}`, 'baton-<stage>')
          .replaceAll(new RegExp(String.raw`\b${stage}[./](?!tcp/)`, 'g'), '') // bash's /dev/tcp is no stage.
          .split('\n')
          .map((line) => `${name}: ${line.trim()}`),
      );
    const [dev, prod] = [lines('dev'), lines('prod')];
    const [inDev, inProd] = [new Set(dev), new Set(prod)];
    const differences = [
      ...dev.filter((line) => !inProd.has(line)).map((line) => `- ${line}`),
      ...prod.filter((line) => !inDev.has(line)).map((line) => `+ ${line}`),
    ];
    await expect(`${differences.join('\n')}\n`).toMatchFileSnapshot('listings/prod-differences.txt');
  });
});

describe('references', () => {
  test.each(['dev', 'prod'])('references: nothing of %s changes under a stack that uses it', (stage) => {
    // Resolved once, when its own stack is updated: what is replaced below it stays unnoticed.
    for (const { name, text } of synthesized(stage).stacks)
      expect({ name, weak: text.includes('Fn::GetStackOutput') }).toEqual({ name, weak: false });
    expect(exportsOf(synthesized(stage)).length).toBeGreaterThan(20);
  });

  test.each([
    { readers: ['198.51.100.0/24'] },
    { partners: ['10.1.0.0/16'] },
    { natGateways: 2 },
    { itemPartitions: 3 },
    { logRetentionDays: 7 },
    { retainData: true },
    { collector: { url: 'https://otlp.example.com' } },
    { domain: { name: 'other.example.com', hostedZoneId: 'Z00000000000EXAMPLE1' } },
    {
      databaseSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-restored-abcdef',
    },
  ])('references: %o is deployed in the order of the stacks, since no export goes with it', (settings) => {
    const after = exportsOf(synthesizeWith('dev', settings));
    expect(exportsOf(synthesized('dev')).filter((line) => !after.includes(line))).toEqual([]);
  });

  test('references: without its FTP server a stage exports less, so nodes go first (docs/aws.md)', () => {
    const after = exportsOf(synthesizeWith('dev', { ftpServer: false, ftpAddress: 'ftp.example.com:21' }));
    const gone = exportsOf(synthesized('dev')).filter((line) => !after.includes(line));
    expect(gone).toHaveLength(4);
    expect(gone.join()).toMatch(/Groupftp.*FilesPointftp.*Secretftp.*Secrettlsftp/s);
  });
});

const exportsSchema = z.object({
  Outputs: z
    .record(z.string(), z.object({ Value: z.unknown(), Export: z.object({}).optional() }))
    .default({}),
});
/** What a stack exports, and which value, so that a change of either is seen. */
function exportsOf({ stacks }: Synthesized): string[] {
  return stacks.flatMap(({ name, text }) =>
    Object.entries(exportsSchema.parse(JSON.parse(text)).Outputs)
      .filter(([, output]) => output.Export !== undefined)
      .map(([id, { Value }]) => `${name} ${id} ${JSON.stringify(Value)}`),
  );
}

describe('findings', () => {
  test.each(['dev', 'prod', 'local'])('findings: %s has none of cdk-nag that nobody explained', (stage) => {
    expect(findingsOf(stage)).toEqual([]);
  });

  test('findings: an unencrypted queue would be one', () => {
    const found = findingsOf('local', (app) => {
      plantQueue(app, {});
    });
    expect(found).toContainEqual(expect.stringContaining('AwsSolutions-SQS'));
  });

  test('findings: what CloudFormation itself would refuse is an error before it is asked', () => {
    expect(cdkJson().context['@aws-cdk/core:validateAgainstDefaultRules']).toBe(true);
    expect(() =>
      synthesize('local', (app) => {
        plantQueue(app, { delaySeconds: 100_000 });
      }),
    ).toThrow(/DelaySeconds/);
  });
});

function plantQueue(app: App, properties: CfnQueueProps): CfnQueue {
  return new CfnQueue(app.node.findChild('baton-local-functions'), 'Planted', properties);
}

const packageSchema = z.object({ version: z.string() });
const manifestSchema = z.object({
  devDependencies: z.record(z.string(), z.string()),
  scripts: z.record(z.string(), z.string()),
});

describe('pins', () => {
  const read = (path: string): unknown =>
    JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'));

  // The registry's `latest` says 3.0.0, which is a build of April 2025 that cannot read what this library writes.
  test('pins: the CLI is 2.1148.1 exactly, and 3.0.0 stays out', () => {
    expect(manifestSchema.parse(read('package.json')).devDependencies['aws-cdk']).toBe('2.1148.1');
    expect(packageSchema.parse(read('node_modules/aws-cdk/package.json')).version).toBe('2.1148.1');
  });

  test('pins: nodes on AWS run in the image of .node-version, so that another version is another image', () => {
    const version = readFileSync(new URL('../../.node-version', import.meta.url), 'utf8').trim();
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    for (const stage of ['dev', 'prod'])
      expect(synthesized(stage).images).toEqual([
        { dockerFile: 'nodes/Dockerfile', dockerBuildArgs: { NODE_TAG: `${version}-bookworm-slim` } },
        { dockerFile: 'Dockerfile', dockerBuildArgs: {} },
      ]);
  });

  test('pins: library, constructs and rules are exact versions', () => {
    const { devDependencies } = manifestSchema.parse(read('package.json'));
    for (const name of ['aws-cdk-lib', 'constructs', 'cdk-nag'])
      expect({ name, version: devDependencies[name] }).toEqual({
        name,
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as unknown,
      });
  });
});

/** What the rules say of a stage, one line a finding. */
function findingsOf(stage: string, prepare: (app: App) => void = () => undefined): string[] {
  const reports: string[] = [];
  synthesize(stage, (app) => {
    prepare(app);
    Validations.of(app).addPlugins(
      ...[new AwsSolutionsChecks(app), new ServerlessChecks(app)].map((rules) => told(rules, reports)),
    );
  });
  return reports;
}

/** The rules as they are, with their findings kept here instead of ending the process. */
function told(rules: IPolicyValidationPlugin, reports: string[]): IPolicyValidationPlugin {
  return {
    name: rules.name,
    validate(context) {
      const { violations } = rules.validate(context);
      for (const { ruleName, violatingResources } of violations)
        for (const { resourceLogicalId } of violatingResources)
          reports.push(`${ruleName} ${resourceLogicalId}`);
      return { success: true, violations: [] };
    },
  };
}
