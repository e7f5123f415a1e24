// A stage's templates as a reviewer reads them: one file a stack, a block for each resource, a line for each of its
// properties, references by name. Permissions are left to docs/security.md.
import type { Resource, SynthesizedStack } from './synthesize.ts';

/** Said elsewhere, the same everywhere, or another with every change of code. */
const leftOut = new Set([
  'AssumeRolePolicyDocument',
  'Code',
  'Description',
  'FileSystemPolicy',
  'FileSystemTags',
  'AccessPointTags',
  'GroupDescription',
  'KeyPolicy',
  'PolicyDocument',
  'PolicyName',
  'Tags',
]);
const leftOutTypes = new Set([
  'AWS::EC2::Route',
  'AWS::EC2::RouteTable',
  'AWS::EC2::SubnetRouteTableAssociation',
  'AWS::EC2::SecurityGroupIngress', // docs/security.md
  'AWS::IAM::Policy',
  'AWS::SQS::QueuePolicy',
  'AWS::S3::BucketPolicy',
  'AWS::SNS::TopicPolicy',
]);

export function listing({ name, resources, dependencies }: SynthesizedStack): string {
  const blocks = resources.filter(({ Type }) => !leftOutTypes.has(Type)).map(block);
  return [`${name}, after ${dependencies.join(', ') || 'nothing'}`, ...blocks].join('\n\n') + '\n';
}

function block({ Type, path, id, Properties, DeletionPolicy }: Resource): string {
  const policy = DeletionPolicy === undefined ? '' : `, ${DeletionPolicy.toLowerCase()} with its stack`;
  const lines = Object.entries(Properties)
    .filter(([name]) => !leftOut.has(name))
    .flatMap(([name, value]) => property(name, value));
  // A changed logical id is another resource, which CloudFormation makes anew.
  return [`${Type.replace('AWS::', '')} ${path} (${id}${policy})`, ...lines.map((line) => `  ${line}`)].join(
    '\n',
  );
}

/** Short values on one line; longer ones take a line for each part. */
function property(name: string, value: unknown): string[] {
  const line = `${name}: ${text(value)}`;
  if (line.length <= 150 || typeof value !== 'object' || value === null) return [line];
  const parts = Array.isArray(value)
    ? value.flatMap((part: unknown) => property('-', part))
    : Object.entries(value).flatMap(([key, part]) => property(key, part));
  return [`${name}:`, ...parts.map((part) => `  ${part}`)];
}

function text(value: unknown): string {
  if (typeof value === 'string') return value.replaceAll(/[0-9a-f]{64}/g, '<hash>').replaceAll('\n', ' ');
  return JSON.stringify(value).replaceAll(/[0-9a-f]{64}/g, '<hash>');
}
