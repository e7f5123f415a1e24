// The RabbitMQ mappings of contracts/topology.ts: Lambda consumes a queue and calls a function. A stack of its own,
// because no emulator of AWS knows them, and plain CloudFormation resources (docs/decisions/0021).
import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { rabbitmqEventSourcesOf, type FunctionName } from '../contracts/topology.ts';
import { acknowledge } from './acknowledge.ts';
import type { BrokerStack } from './broker-stack.ts';
import type { FunctionsStack } from './functions-stack.ts';

export interface EventSourcesStackProps extends StackProps {
  /** Login of the pollers. */
  readonly login: secretsmanager.ISecret;
  readonly broker: BrokerStack;
  readonly functions: FunctionsStack;
  /** Number of partitions of the queue `items`. */
  readonly itemPartitions: number;
}

export class EventSourcesStack extends Stack {
  constructor(scope: Construct, id: string, props: EventSourcesStackProps) {
    super(scope, id, { ...props, description: 'Baton: RabbitMQ queues call functions' });
    const { broker, functions, login } = props;
    const policies = new Map<FunctionName, iam.Policy>();
    for (const source of rabbitmqEventSourcesOf(props.itemPartitions)) {
      const target = functions.functions[source.function].function;
      // One for all mappings of a function: a role has room for few.
      const policy = policies.get(source.function) ?? this.#mayPoll(target, source.queue, props);
      policies.set(source.function, policy);
      const mapping = new lambda.CfnEventSourceMapping(this, `Mapping-${source.queue}`, {
        eventSourceArn: broker.broker.attrArn,
        functionName: target.functionName,
        queues: [source.queue],
        batchSize: source.batchSize,
        maximumBatchingWindowInSeconds: Duration.millis(source.windowMs).toSeconds(),
        sourceAccessConfigurations: [
          { type: 'BASIC_AUTH', uri: login.secretArn },
          { type: 'VIRTUAL_HOST', uri: '/' },
        ],
      });
      // Lambda tries the login when the mapping is made, and needs the role to take its interfaces away again.
      mapping.node.addDependency(policy);
      acknowledge(
        mapping,
        'Serverless-LambdaEventSourceMappingDestination',
        'Lambda has no destination for RabbitMQ: handlers dead-letter what cannot be done, and the queue keeps the rest.',
      );
    }
  }

  /** Lambda polls with the function's own role. */
  #mayPoll(
    target: lambda.Function,
    queue: string,
    { broker, login }: Pick<EventSourcesStackProps, 'broker' | 'login'>,
  ): iam.Policy {
    const policy = new iam.Policy(this, `Poll-${queue}`, {
      statements: [
        new iam.PolicyStatement({ actions: ['mq:DescribeBroker'], resources: [broker.broker.attrArn] }),
        new iam.PolicyStatement({
          actions: ['secretsmanager:GetSecretValue'],
          resources: [login.secretArn],
        }),
        new iam.PolicyStatement({
          // The pollers' network interfaces; EC2 accepts no narrower resource for these.
          actions: [
            'ec2:CreateNetworkInterface',
            'ec2:DeleteNetworkInterface',
            'ec2:DescribeNetworkInterfaces',
            'ec2:DescribeSecurityGroups',
            'ec2:DescribeSubnets',
            'ec2:DescribeVpcs',
          ],
          resources: ['*'],
        }),
      ],
    });
    acknowledge(
      policy,
      'AwsSolutions-IAM5[Resource::*]',
      'Lambda makes the network interfaces of its pollers with this role; EC2 accepts no narrower resource for these actions.',
    );
    if (target.role) policy.attachToRole(target.role);
    return policy;
  }
}
