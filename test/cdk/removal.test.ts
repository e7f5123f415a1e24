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
      Properties: z.record(z.string(), z.unknown()).default({}),
    }),
  ),
  Outputs: z.record(z.string(), z.object({ Value: z.unknown() })).default({}),
});
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
      .filter(([, { DeletionPolicy }]) => DeletionPolicy === 'Retain')
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
            DeletionPolicy !== 'Retain' &&
            /"DeletionProtection(?:Enabled)?":true|"deletion_protection.enabled","Value":"true"/.test(
              JSON.stringify(Properties),
            ),
        )
        .map(([id]) => id),
    );
    expect(refusing).toEqual([]);
  });
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
