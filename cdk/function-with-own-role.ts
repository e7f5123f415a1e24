// A Lambda function with a role that may do nothing but write its own log, read the secrets its variables name, and
// have a network interface when it lives in the VPC. The caller grants the rest by name.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ArnFormat, CustomResource, Duration, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as logs from 'aws-cdk-lib/aws-logs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { logGroup } from './log-group.ts';
import type { LogRetentionDays } from './stage.ts';
import { secretsIn } from './function-environment.ts';
import { bundleHandler } from '../functions/bundle.ts';

export interface Placement {
  readonly vpc: ec2.IVpc;
  readonly securityGroup: ec2.ISecurityGroup;
}
export interface FunctionWithOwnRoleProps {
  readonly functionName: string;
  readonly description: string;
  /** The zip of functions/bundle.ts. */
  readonly zipFile: string;
  readonly memoryMb: number;
  readonly timeoutS: number;
  readonly environment: Readonly<Record<string, string>>;
  /**
   * An event that waited for so long is dropped, and none is tried again: for what a schedule calls, whose next event is a
   * better try. Left out, Lambda keeps one for six hours and tries it three times.
   */
  readonly staleAfter?: Duration;
  readonly logGroupName: string;
  readonly logRetentionDays: LogRetentionDays;
  /** Names of secrets besides those in the variables. */
  readonly reads?: readonly string[];
  readonly placement?: Placement;
}

/** For Lambda's three tries of two minutes, with a minute and two between. CloudFormation would wait for an hour. */
const answeredWithin = Duration.minutes(10);

export class FunctionWithOwnRole extends Construct {
  readonly function: lambda.Function;
  readonly logGroup: logs.LogGroup;
  readonly #codeHash: string;

  constructor(scope: Construct, id: string, props: FunctionWithOwnRoleProps) {
    super(scope, id);
    this.logGroup = logGroup(this, 'Log', { name: props.logGroupName, days: props.logRetentionDays });
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: `Execution role of ${props.functionName}`,
    });
    this.logGroup.grantWrite(role);
    for (const name of [...secretsIn(props.environment), ...(props.reads ?? [])])
      secretsmanager.Secret.fromSecretNameV2(this, `Secret-${name}`, name).grantRead(role);
    const { placement } = props;
    if (placement) {
      grantNetworkInterfaces(role);
      // Not by its resource, which waits for the role.
      const arn = Stack.of(this).formatArn({
        service: 'lambda',
        resource: 'function',
        resourceName: props.functionName,
        arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      });
      denyToCode(role, arn);
    }
    this.#codeHash = createHash('sha256').update(readFileSync(props.zipFile)).digest('hex');
    this.function = new lambda.Function(this, 'Function', {
      functionName: props.functionName,
      description: props.description,
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      handler: bundleHandler,
      code: lambda.Code.fromAsset(props.zipFile),
      memorySize: props.memoryMb,
      timeout: Duration.seconds(props.timeoutS),
      environment: { ...props.environment },
      role,
      logGroup: this.logGroup,
      ...(props.staleAfter ? { retryAttempts: 0, maxEventAge: props.staleAfter } : {}),
      ...(placement
        ? {
            vpc: placement.vpc,
            vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
            securityGroups: [placement.securityGroup],
          }
        : {}),
    });
    acknowledge(
      this.function,
      'Serverless-LambdaTracing',
      'Messages carry a W3C trace context of their own.',
    );
    const whyNoQueue = props.staleAfter
      ? 'Called by event sources, which keep their messages, and by a schedule, whose next tick comes in a minute; an event kept for later would be an old tick.'
      : 'Called by CloudFormation, which tells whoever deploys when no answer comes, and by people and a daily schedule.';
    acknowledge(this.function, 'Serverless-LambdaDLQ', whyNoQueue);
    acknowledge(this.function, 'Serverless-LambdaAsyncFailureDestination', whyNoQueue);
  }

  /** Has CloudFormation call it when it is made, and by each deploy that changes the properties or its code. */
  runAtDeploy(scope: Construct, id: string, properties: Readonly<Record<string, string>>): CustomResource {
    const resource = new CustomResource(scope, id, {
      serviceToken: this.function.functionArn,
      properties: { ...properties, code: this.#codeHash },
      serviceTimeout: answeredWithin,
    });
    acknowledge(
      resource,
      'CloudFormation-Validate::W9003',
      'The library writes its number of seconds as a text, as CloudFormation documents it.',
    );
    return resource;
  }
}

/**
 * What Lambda does for a function, it does with the function's role but not in its name; what the code asks for is in its
 * name: https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
 */
function denyToCode(role: iam.Role, functionArn: string): void {
  role.addToPolicy(
    new iam.PolicyStatement({
      sid: 'NotForTheCode',
      effect: iam.Effect.DENY,
      actions: ['ec2:*'],
      resources: ['*'],
      conditions: { ArnEquals: { 'lambda:SourceFunctionArn': functionArn } },
    }),
  );
}

/** EC2 knows no resource for these when a role asks: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html */
function grantNetworkInterfaces(role: iam.Role): void {
  role.addToPolicy(
    new iam.PolicyStatement({
      sid: 'NetworkInterfacesOfLambda',
      actions: [
        'ec2:CreateNetworkInterface',
        'ec2:DescribeNetworkInterfaces',
        'ec2:DescribeSubnets',
        'ec2:DeleteNetworkInterface',
        'ec2:AssignPrivateIpAddresses',
        'ec2:UnassignPrivateIpAddresses',
      ],
      resources: ['*'],
    }),
  );
  acknowledge(
    role,
    'AwsSolutions-IAM5[Resource::*]',
    'Lambda makes the network interfaces of a function in a VPC; EC2 accepts no narrower resource for these actions.',
  );
}
