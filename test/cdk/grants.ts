// Who may do what, read from a stage's templates: one line for each statement of a role, and one for each statement that
// a resource makes about its callers.
import { z } from 'zod';
import { ofType, type Resource } from './synthesize.ts';
import { account, region } from './resolve.ts';

export interface Grant {
  /** A role or service, in words. */
  readonly who: string;
  readonly effect: 'Allow' | 'Deny';
  readonly actions: readonly string[];
  /** As the statement has them. */
  readonly resources: readonly string[];
  readonly condition: Readonly<Record<string, unknown>> | undefined;
}

const list = z.union([z.string().transform((only) => [only]), z.array(z.string())]);
const statementSchema = z.object({
  Effect: z.enum(['Allow', 'Deny']),
  Action: list,
  Resource: list.default([]),
  Principal: z.union([z.string(), z.record(z.string(), list)]).optional(),
  Condition: z.record(z.string(), z.unknown()).optional(),
});
const documentSchema = z.object({ Statement: z.array(statementSchema) });
const policySchema = z.object({ PolicyDocument: documentSchema, Roles: z.array(z.string()) });
const roleSchema = z.object({
  Policies: z.array(z.object({ PolicyDocument: documentSchema })).default([]),
  ManagedPolicyArns: z.array(z.string()).default([]),
});
const permissionSchema = z.object({
  Action: z.string(),
  FunctionName: z.string(),
  Principal: z.string(),
  SourceArn: z.string().optional(),
});

/** Of roles: what they may do to whatever the statement names. */
export function roleGrants(resources: readonly Resource[]): Grant[] {
  return [
    ...ofType(resources, 'AWS::IAM::Policy').flatMap(({ Properties }) => {
      const { PolicyDocument, Roles } = policySchema.parse(Properties);
      return Roles.flatMap((role) => PolicyDocument.Statement.map((statement) => grantOf(role, statement)));
    }),
    ...ofType(resources, 'AWS::IAM::Role').flatMap(({ path, Properties }) =>
      roleSchema
        .parse(Properties)
        .Policies.flatMap(({ PolicyDocument }) =>
          PolicyDocument.Statement.map((statement) => grantOf(path, statement)),
        ),
    ),
  ];
}

/** Policies of AWS's own: path of the role, and the policy's name. */
export function managedPolicies(resources: readonly Resource[]): string[] {
  return ofType(resources, 'AWS::IAM::Role').flatMap(({ path, Properties }) =>
    roleSchema.parse(Properties).ManagedPolicyArns.map((arn) => `${path}: ${arn.split('/').at(-1)}`),
  );
}

/** Where a resource's policy is, and which property of that policy names the resource. */
const resourcePolicies: Readonly<Record<string, { document: string; of?: string }>> = {
  'AWS::SQS::QueuePolicy': { document: 'PolicyDocument' },
  'AWS::S3::BucketPolicy': { document: 'PolicyDocument' },
  'AWS::SNS::TopicPolicy': { document: 'PolicyDocument' },
  'AWS::KMS::Key': { document: 'KeyPolicy' },
  'AWS::EFS::FileSystem': { document: 'FileSystemPolicy' },
};

/** Of resources: what their own policies say about whoever calls them, and who may call a function. */
export function resourceGrants(resources: readonly Resource[]): Grant[] {
  const stated = Object.entries(resourcePolicies).flatMap(([type, { document }]) =>
    ofType(resources, type)
      .filter(({ Properties }) => Properties[document] !== undefined)
      .flatMap(({ path, Properties }) =>
        documentSchema.parse(Properties[document]).Statement.map((statement) => {
          const grant = grantOf(principalOf(statement), statement);
          // A policy of a resource is about that resource alone, whatever its statements call it.
          const own = grant.resources.every((resource) => resource === '*');
          return own ? { ...grant, resources: [path] } : grant;
        }),
      ),
  );
  const invocations = ofType(resources, 'AWS::Lambda::Permission').map(({ Properties }): Grant => {
    const { Action, FunctionName, Principal, SourceArn } = permissionSchema.parse(Properties);
    return {
      who: Principal === '*' ? 'anybody' : Principal,
      effect: 'Allow',
      actions: [Action],
      resources: [FunctionName],
      condition: SourceArn === undefined ? undefined : { from: SourceArn },
    };
  });
  return [...stated, ...invocations];
}

function grantOf(who: string, statement: z.infer<typeof statementSchema>): Grant {
  return {
    who,
    effect: statement.Effect,
    actions: statement.Action,
    resources: statement.Resource,
    condition: statement.Condition,
  };
}

function principalOf({ Principal }: z.infer<typeof statementSchema>): string {
  if (Principal === undefined) throw new Error('a statement of a resource policy names no principal');
  const names = typeof Principal === 'string' ? [Principal] : Object.values(Principal).flat();
  return names
    .map((name) =>
      name === '*' ? 'anybody' : name.includes(`${account}:root`) ? 'the account’s own IAM policies' : name,
    )
    .join(', ');
}

/** A resource as people call it: without partition, region and account. */
export function inWords(resource: string): string {
  return resource
    .replace(/\.Arn(?=$|\/)/, '')
    .replace(/-\?{6}$/, '')
    .replace(new RegExp(`^arn:aws:([a-z0-9-]+):(?:${region})?:(?:${account})?:`), '$1 ')
    .replace(/^secretsmanager secret:/, 'secret ')
    .replace(/^(lambda function|logs log-group|mq broker|dynamodb table)[:/]/, '$1 ');
}
