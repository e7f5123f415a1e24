// A stage can be taken down: nothing refuses that is not meant to stay, and whatever stays keeps what it refers to, or
// CloudFormation would fail at that.
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { synthesized, synthesizeWith, type Synthesized } from './synthesize.ts';

const templateSchema = z.object({
  Resources: z.record(
    z.string(),
    z.object({
      Type: z.string(),
      DeletionPolicy: z.string().default('Delete'),
      DependsOn: z.union([z.string(), z.array(z.string())]).default([]),
      Properties: z.record(z.string(), z.unknown()).default({}),
    }),
  ),
  Outputs: z.record(z.string(), z.object({ Value: z.unknown() })).default({}),
});
const keeps: ReadonlySet<string> = new Set(['Retain', 'RetainExceptOnCreate']);
type Template = z.infer<typeof templateSchema>;
interface Kept {
  readonly stack: string;
  readonly id: string;
}

function templatesOf({ stage, stacks }: Synthesized): Map<string, Template> {
  return new Map(
    stacks.map(({ name, text }) => [`baton-${stage.name}-${name}`, templateSchema.parse(JSON.parse(text))]),
  );
}

/** Resources that a value refers to, in its own stack or in another one. */
function referredTo(value: unknown, stack: string, templates: ReadonlyMap<string, Template>): Kept[] {
  if (Array.isArray(value)) return value.flatMap((part) => referredTo(part, stack, templates));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, argument]) => {
    const template = templates.get(stack);
    const named = (id: unknown) =>
      typeof id === 'string' && template?.Resources[id] !== undefined ? [{ stack, id }] : [];
    if (key === 'Ref') return named(argument);
    if (key === 'Fn::GetAtt') return named((argument as unknown[])[0]);
    if (key !== 'Fn::GetStackOutput') return referredTo(argument, stack, templates);
    const { StackName, OutputName } = argument as { StackName: string; OutputName: string };
    return referredTo(templates.get(StackName)?.Outputs[OutputName]?.Value, StackName, templates);
  });
}

function retained(templates: ReadonlyMap<string, Template>): Kept[] {
  return [...templates].flatMap(([stack, { Resources }]) =>
    Object.entries(Resources)
      .filter(([, { DeletionPolicy }]) => keeps.has(DeletionPolicy))
      .map(([id]) => ({ stack, id })),
  );
}
const types = (templates: ReadonlyMap<string, Template>, of: readonly Kept[]) =>
  [...new Set(of.map(({ stack, id }) => templates.get(stack)?.Resources[id]?.Type ?? '?'))].sort();

const stages = [
  ['dev', synthesized('dev')],
  ['prod', synthesized('prod')],
  ['one that keeps a single instance', synthesizeWith('dev', { retainData: true })],
] as const;

describe.each(stages)('removal: stage %s', (_, system) => {
  const templates = templatesOf(system);
  const kept = retained(templates);

  test('what stays needs nothing that goes', () => {
    const isKept = new Set(kept.map(({ stack, id }) => `${stack} ${id}`));
    const needed = kept.flatMap(({ stack, id }) =>
      referredTo(templates.get(stack)?.Resources[id]?.Properties, stack, templates).map(
        (needs) => `${needs.stack} ${needs.id}`,
      ),
    );
    expect(needed.filter((name) => !isKept.has(name))).toEqual([]);
  });

  test('nothing that goes refuses to', () => {
    const refusing = [...templates.values()].flatMap(({ Resources }) =>
      Object.entries(Resources)
        .filter(
          ([, { DeletionPolicy, Properties }]) =>
            !keeps.has(DeletionPolicy) &&
            /"DeletionProtection(?:Enabled)?":true|"deletion_protection.enabled","Value":"true"/.test(
              JSON.stringify(Properties),
            ),
        )
        .map(([id]) => id),
    );
    expect(refusing).toEqual([]);
  });
});

test('removal: a first deploy that fails leaves no name taken: what is kept goes when its creation is rolled back', () => {
  const templates = templatesOf(synthesized('prod'));
  const resources = [...templates.values()].flatMap(({ Resources }) => Object.entries(Resources));
  const stays = resources.filter(([, { DeletionPolicy }]) => DeletionPolicy === 'Retain');
  expect(stays.map(([, { Type }]) => Type)).toEqual(['AWS::S3::Bucket']); // It has no name of ours, and may hold lines.
  // What refuses to be deleted is made last, so that nothing of its stack can fail after it.
  const data = Object.entries(templates.get('baton-prod-data')?.Resources ?? {});
  const idsOf = (type: string) => data.filter(([, { Type }]) => Type === type).map(([id]) => id);
  const [, cluster] = data.find(([, { Type }]) => Type === 'AWS::RDS::DBCluster') ?? [];
  expect(cluster?.Properties['DeletionProtection']).toBe(true);
  for (const type of [
    'AWS::SecretsManager::Secret',
    'AWS::CloudFormation::CustomResource',
    'AWS::EFS::FileSystem',
  ])
    expect(cluster?.DependsOn).toEqual(expect.arrayContaining(idsOf(type)));
});

test('removal: dev keeps a log, prod also its data and what the database lives in', () => {
  const always = ['AWS::S3::Bucket'];
  const kept = (name: string) => {
    const templates = templatesOf(synthesized(name));
    return types(templates, retained(templates));
  };
  expect(kept('dev')).toEqual(always);
  expect(kept('prod')).toEqual(
    [
      ...always,
      'AWS::EC2::SecurityGroup',
      'AWS::EC2::Subnet',
      'AWS::EC2::VPC',
      'AWS::EFS::FileSystem',
      'AWS::Logs::LogGroup',
      'AWS::RDS::DBCluster',
      'AWS::RDS::DBClusterParameterGroup',
      'AWS::RDS::DBInstance',
      'AWS::RDS::DBSubnetGroup',
      'AWS::SecretsManager::Secret',
    ].toSorted(),
  );
});
