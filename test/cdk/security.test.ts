// What nobody may forget, asserted on every resource: encryption at rest, TLS on every way, least rights, no secret in a
// template. A type of resource that is not judged here fails, so that a new one is looked at.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { inWords, managedPolicies, resourceGrants, roleGrants, type Grant } from './grants.ts';
import { account, region } from './resolve.ts';
import { renderSecurity, securityPage } from './security-page.ts';
import { ofType, synthesized, type Resource } from './synthesize.ts';

/** How each type that keeps something says that it is encrypted. */
const encrypted: Readonly<Record<string, (properties: Resource['Properties']) => boolean>> = {
  'AWS::RDS::DBInstance': (db) => db['StorageEncrypted'] === true || db['DBClusterIdentifier'] !== undefined,
  'AWS::RDS::DBCluster': ({ StorageEncrypted }) => StorageEncrypted === true,
  'AWS::EFS::FileSystem': ({ Encrypted }) => Encrypted === true,
  'AWS::SQS::Queue': ({ SqsManagedSseEnabled }) => SqsManagedSseEnabled === true,
  'AWS::DynamoDB::Table': ({ SSESpecification }) =>
    (SSESpecification as { SSEEnabled?: boolean } | undefined)?.SSEEnabled === true,
  'AWS::S3::Bucket': ({ BucketEncryption }) => BucketEncryption !== undefined,
  'AWS::SNS::Topic': ({ KmsMasterKeyId }) => KmsMasterKeyId !== undefined,
  // These are always encrypted, with a key of AWS's where no other is named.
  'AWS::AmazonMQ::Broker': ({ EncryptionOptions }) => EncryptionOptions !== undefined,
  'AWS::SecretsManager::Secret': () => true,
  'AWS::Logs::LogGroup': () => true,
};
const keepsNothing = [
  'AWS::Budgets::Budget',
  'AWS::CertificateManager::Certificate',
  'AWS::CloudFormation::CustomResource',
  'AWS::CloudWatch::Alarm',
  'AWS::CloudWatch::Dashboard',
  'AWS::EC2::EIP',
  'AWS::EC2::FlowLog',
  'AWS::EC2::InternetGateway',
  'AWS::EC2::NatGateway',
  'AWS::EC2::Route',
  'AWS::EC2::RouteTable',
  'AWS::EC2::SecurityGroup',
  'AWS::EC2::SecurityGroupEgress',
  'AWS::EC2::SecurityGroupIngress',
  'AWS::EC2::Subnet',
  'AWS::EC2::SubnetRouteTableAssociation',
  'AWS::EC2::VPC',
  'AWS::EC2::VPCEndpoint',
  'AWS::EC2::VPCGatewayAttachment',
  'AWS::ECS::Cluster',
  'AWS::ECS::Service',
  'AWS::ECS::TaskDefinition',
  'AWS::EFS::AccessPoint',
  'AWS::EFS::MountTarget',
  'AWS::ElasticLoadBalancingV2::Listener',
  'AWS::ElasticLoadBalancingV2::ListenerRule',
  'AWS::ElasticLoadBalancingV2::LoadBalancer',
  'AWS::ElasticLoadBalancingV2::TargetGroup',
  'AWS::Events::Rule',
  'AWS::IAM::Policy',
  'AWS::IAM::Role',
  'AWS::KMS::Key',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::Lambda::EventSourceMapping',
  'AWS::Lambda::Function',
  'AWS::Lambda::Permission',
  'AWS::Logs::MetricFilter',
  'AWS::RDS::DBClusterParameterGroup',
  'AWS::RDS::DBParameterGroup',
  'AWS::RDS::DBSubnetGroup',
  'AWS::Route53::RecordSet',
  'AWS::S3::BucketPolicy',
  'AWS::SNS::Subscription',
  'AWS::SNS::TopicPolicy',
  'AWS::SQS::QueuePolicy',
  'AWS::ServiceDiscovery::PrivateDnsNamespace',
  'AWS::ServiceDiscovery::Service',
  'Custom::VpcRestrictDefaultSG',
];
const unencrypted = (resources: readonly Resource[]) =>
  resources
    .filter(({ Type }) => !keepsNothing.includes(Type))
    .filter(({ Type, Properties }) => !(encrypted[Type]?.(Properties) ?? false))
    .map(({ Type, path }) => `${Type} ${path}`);

/** Actions for which AWS knows no narrower resource: https://docs.aws.amazon.com/service-authorization/ */
const withoutResource = new Set([
  'ec2:AssignPrivateIpAddresses',
  'ec2:CreateNetworkInterface',
  'ec2:DeleteNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSecurityGroups',
  'ec2:DescribeSubnets',
  'ec2:DescribeVpcs',
  'ec2:UnassignPrivateIpAddresses',
  'ecr:GetAuthorizationToken',
]);
function tooWide(grants: readonly Grant[]): string[] {
  return grants
    .filter(({ effect }) => effect === 'Allow')
    .flatMap(({ who, actions, resources }) => [
      ...actions.filter((action) => action.includes('*')).map((action) => `${who}: ${action}`),
      ...(resources.includes('*')
        ? actions.filter((action) => !withoutResource.has(action)).map((action) => `${who}: ${action} on *`)
        : []),
      // Six characters that Secrets Manager puts behind a name are the only part that may be open.
      ...resources
        .filter((name) => /[*?]/.test(name.replace(/-\?{6}$/, '')) && name !== '*')
        .map((name) => `${who}: ${name}`),
    ]);
}

describe.each(['dev', 'prod'])('security: stage %s', (stage) => {
  const system = synthesized(stage);
  const { resources } = system;

  test('all that is kept is encrypted', () => {
    expect(unencrypted(resources)).toEqual([]);
    for (const type of Object.keys(encrypted).filter((name) => !name.includes('RDS')))
      expect({ type, found: ofType(resources, type).length > 0 }).toEqual({ type, found: true });
  });

  test('TLS is forced on every way: database, broker, files, queues, topics, logs of access, web', () => {
    for (const { Properties } of ofType(
      resources,
      'AWS::RDS::DBParameterGroup',
      'AWS::RDS::DBClusterParameterGroup',
    ))
      expect(Properties['Parameters']).toMatchObject({ 'rds.force_ssl': '1' });
    const refused = resourceGrants(resources)
      .filter(
        ({ effect, who, condition }) =>
          effect === 'Deny' &&
          who === 'anybody' &&
          JSON.stringify(condition) === '{"Bool":{"aws:SecureTransport":"false"}}',
      )
      .flatMap((grant) => grant.resources.map(inWords));
    expect(refused).toEqual(
      expect.arrayContaining([
        ...ofType(resources, 'AWS::SQS::Queue').map(
          ({ Properties }) => `sqs ${String(Properties['QueueName'])}`,
        ),
        ...ofType(resources, 'AWS::S3::Bucket', 'AWS::EFS::FileSystem', 'AWS::SNS::Topic').map(
          ({ path }) => path,
        ),
      ]),
    );
    const plain = ofType(resources, 'AWS::ElasticLoadBalancingV2::Listener')
      .map(({ Properties }) => Properties)
      .filter(
        ({ SslPolicy, DefaultActions }) =>
          !/TLS13-1-2/.test(String(SslPolicy)) &&
          !/^\[\{"RedirectConfig":.*"HTTPS"/.test(JSON.stringify(DefaultActions)),
      );
    expect(plain).toEqual([]);
    const variables = ofType(resources, 'AWS::Lambda::Function', 'AWS::ECS::TaskDefinition').map(
      ({ Properties }) => JSON.stringify(Properties),
    );
    for (const text of variables) expect(text).not.toMatch(/"(?:http|amqp|ftp|smtp|mqtt|redis):\/\//);
  });

  test('no role may do more than it names', () => {
    const grants = roleGrants(resources);
    expect(grants.length).toBeGreaterThan(20);
    expect(tooWide(grants)).toEqual([]);
    // A helper of CDK's that empties the VPC's default security group.
    expect(managedPolicies(resources)).toEqual([
      'Custom::VpcRestrictDefaultSGCustomResourceProvider/Role: AWSLambdaBasicExecutionRole',
    ]);
  });

  test('the secret keeper reads its secrets and writes them, and changes nothing else about one', () => {
    const actions = roleGrants(resources)
      .filter(({ who }) => who === 'SecretKeeper/Role')
      .flatMap((grant) => grant.actions)
      .filter((action) => action.startsWith('secretsmanager:'));
    expect(new Set(actions)).toEqual(
      new Set(['GetSecretValue', 'DescribeSecret', 'PutSecretValue'].map((name) => `secretsmanager:${name}`)),
    );
  });

  test('the network interfaces of every function are for Lambda to make, and out of reach of its code', () => {
    const onEc2 = (effect: Grant['effect']) =>
      roleGrants(resources).filter(
        (grant) =>
          grant.effect === effect &&
          grant.resources.includes('*') &&
          grant.actions.some((action) => action.startsWith('ec2:')),
      );
    const roleOf = new Map(
      ofType(resources, 'AWS::Lambda::Function').map(({ Properties }) => [
        String(Properties['Role']).replace(/\.Arn$/, ''),
        String(Properties['FunctionName']),
      ]),
    );
    const able = [...new Set(onEc2('Allow').map(({ who }) => who))];
    expect(able).toHaveLength(5);
    expect(onEc2('Deny').map(({ who, actions, condition }) => ({ who, actions, condition }))).toEqual(
      able.map((who) => ({
        who,
        actions: ['ec2:*'],
        condition: {
          ArnEquals: {
            'lambda:SourceFunctionArn': `arn:aws:lambda:${region}:${account}:function:${roleOf.get(who)}`,
          },
        },
      })),
    );
  });

  test('the key of the authority and the administrator of the broker have one reader each', () => {
    const readers = (secret: string) =>
      roleGrants(resources)
        .filter(
          (grant) =>
            grant.actions.includes('secretsmanager:GetSecretValue') &&
            grant.resources.some((name) => inWords(name) === `secret baton/${stage}/${secret}`),
        )
        .map(({ who }) => who);
    expect(readers('authority')).toEqual(['SecretKeeper/Role']);
    expect(readers('broker/admin')).toEqual(['Topology/Role']);
  });

  test('anybody may do nothing: the front is reached through the load balancer alone, by its readers', () => {
    const open = resourceGrants(resources).filter(
      ({ who, effect }) => who === 'anybody' && effect === 'Allow',
    );
    expect(open).toEqual([]);
    expect(ofType(resources, 'AWS::Lambda::Url')).toEqual([]);
    const front = resourceGrants(resources).filter(
      ({ resources: [name] }) => inWords(name ?? '') === `lambda function baton-${stage}-redirect`,
    );
    expect(front.map(({ who, actions, condition }) => ({ who, actions, condition }))).toEqual([
      {
        who: 'elasticloadbalancing.amazonaws.com',
        actions: ['lambda:InvokeFunction'],
        condition: {
          from: `arn:aws:elasticloadbalancing:${region}:${account}:targetgroup/baton-${stage}-front/*`,
        },
      },
    ]);
  });

  test('no template holds a secret: passwords are made at deploy, and referred to by name', () => {
    for (const { name, text } of system.stacks) {
      expect({ name, found: secretsIn(text) }).toEqual({ name, found: [] });
      expect(text).not.toContain('"NoEcho"');
    }
    for (const { Properties } of ofType(resources, 'AWS::SecretsManager::Secret'))
      expect(Properties).not.toHaveProperty('SecretString');
    const [broker] = ofType(resources, 'AWS::AmazonMQ::Broker');
    expect(JSON.stringify(broker?.Properties['Users'])).toMatch(/"Password":"\{\{resolve:secretsmanager:/);
  });

  test('no secret is put into the variables of a process, but for vsftpd, which reads none by itself', () => {
    const put = ofType(resources, 'AWS::ECS::TaskDefinition').flatMap(({ path, Properties }) =>
      (Properties['ContainerDefinitions'] as { Secrets?: { Name: string }[] }[]).flatMap(({ Secrets = [] }) =>
        Secrets.map(({ Name }) => `${path} ${Name}`),
      ),
    );
    expect(put).toEqual(
      ['FTP_USERNAME', 'FTP_PASSWORD', 'TLS_CERT', 'TLS_KEY'].map((name) => `Ftp/Task ${name}`),
    );
  });

  test('what holds state survives its stack where the stage says so', () => {
    const types = [
      'AWS::RDS::DBCluster',
      'AWS::RDS::DBInstance',
      'AWS::EFS::FileSystem',
      'AWS::SecretsManager::Secret',
    ];
    for (const { DeletionPolicy } of ofType(resources, ...types))
      expect(DeletionPolicy).toBe(stage === 'prod' ? 'RetainExceptOnCreate' : 'Delete');
  });
});

/** PEM, keys of AWS, and texts as random as a password in a place where one would stand. */
function secretsIn(text: string): string[] {
  const patterns = [
    /-----BEGIN [A-Z ]+-----/g,
    /AKIA[0-9A-Z]{16}/g,
    /"(?:[A-Za-z]*(?:password|secret|token|key))":"(?!\{\{resolve:|baton\/|[A-Za-z]+$)[A-Za-z0-9+/=_-]{16,}"/gi,
    /:\/\/[^"/@\s]+:[^"/@\s]+@/g,
  ];
  return patterns.flatMap((pattern) => text.match(pattern) ?? []);
}

describe('security: what is planted is seen', () => {
  const { resources } = synthesized('dev');
  const planted = (Type: string, Properties: Record<string, unknown>): Resource[] => [
    ...resources,
    {
      id: 'Planted',
      stack: 'data',
      path: 'Planted',
      Type,
      Properties,
      dependsOn: [],
      DeletionPolicy: undefined,
    },
  ];

  test.each([
    ['AWS::SQS::Queue', {}],
    ['AWS::EFS::FileSystem', { Encrypted: false }],
    ['AWS::Redshift::Cluster', { Encrypted: true }],
  ])('%s without a known encryption', (type, properties) => {
    expect(unencrypted(planted(type, properties))).toEqual([`${type} Planted`]);
  });

  test.each([
    ['sqs:*', 'arn:aws:sqs:eu-central-1:123456789012:baton-dev-tick'],
    ['sqs:SendMessage', '*'],
    ['secretsmanager:GetSecretValue', 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:baton/dev/*'],
  ])('a role that may %s on %s', (Action, Name) => {
    const policy = {
      Roles: ['Planted'],
      PolicyDocument: { Statement: [{ Effect: 'Allow', Action, Resource: Name }] },
    };
    expect(tooWide(roleGrants(planted('AWS::IAM::Policy', policy)))).toHaveLength(1);
  });

  test.each([
    `{"Password":"${'x7Kq'.repeat(8)}"}`,
    '{"Value":"amqps://baton:hunter2@broker:5671"}',
    '{"Value":"-----BEGIN PRIVATE KEY-----"}',
  ])('%s in a template', (text) => {
    expect(secretsIn(text)).toHaveLength(1);
  });
});

test('security: docs/security.md is what the templates say (node test/cdk/security-page.ts writes it)', async () => {
  expect(readFileSync(securityPage, 'utf8')).toBe(await renderSecurity());
});
