// The six functions with their zips, SQS queues, directory table, event sources and schedules: all of
// contracts/topology.ts that has no broker in it, and all that an emulator of AWS can deploy.
// The RabbitMQ mappings are in event-sources-stack.ts, since emulators do not know them.
import { ArnFormat, CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import {
  directoryTable,
  functionNames,
  functions,
  functionsThatCallNodes,
  schedules,
  sqsEventSources,
  sqsQueues,
  type FunctionName,
} from '../contracts/topology.ts';
import { acknowledge } from './acknowledge.ts';
import { functionVariables, type FunctionAddresses } from './function-environment.ts';
import { FunctionWithOwnRole, type Placement } from './function-with-own-role.ts';
import type { Names } from './names.ts';
import type { Stage } from './stage.ts';

/** The zip of each function, as functions/bundle.ts makes them. */
export type Zips = Readonly<Record<FunctionName, { readonly zipFile: string }>>;

export interface FunctionsStackProps extends StackProps {
  readonly stage: Stage;
  readonly names: Names;
  readonly zips: Zips;
  readonly addresses: FunctionAddresses;
  /** Where the functions that talk to nodes, broker or FTP are placed; none in an emulator. */
  readonly placement?: Placement;
}

/** The others need DynamoDB alone, which is reached without a VPC. */
const insideVpc: ReadonlySet<FunctionName> = new Set(functionsThatCallNodes);
const readsDirectory: readonly FunctionName[] = ['redirect', ...functionsThatCallNodes];
/** The emulators' logs are kept by whoever runs them. */
const localLogRetentionDays = 7;

export class FunctionsStack extends Stack {
  readonly functions: Readonly<Record<FunctionName, FunctionWithOwnRole>>;
  readonly #queues: ReadonlyMap<string, sqs.Queue>;
  readonly table: dynamodb.Table;
  /** Leads every request to the leader. */
  readonly front: lambda.Function;

  constructor(scope: Construct, id: string, props: FunctionsStackProps) {
    super(scope, id, { ...props, description: 'Baton: functions, queues, directory and schedules' });
    this.table = this.#table(props);
    this.#queues = new Map(Object.values(sqsQueues).map((queue) => [queue.name, this.#queue(queue, props)]));
    this.functions = this.#functions(props);
    this.table.grant(this.functions.announce.function, 'dynamodb:PutItem', 'dynamodb:GetItem');
    for (const name of readsDirectory) this.table.grant(this.functions[name].function, 'dynamodb:GetItem');
    this.#connectQueues();
    this.#connectSchedules(props.names);
    this.front = this.#front(props);
  }

  #table({ names }: FunctionsStackProps): dynamodb.Table {
    return new dynamodb.Table(this, 'Directory', {
      tableName: names.resource(directoryTable.name),
      partitionKey: { name: directoryTable.key, type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      encryption: dynamodb.TableEncryption.AWS_MANAGED,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      // Every entry ends after seconds and is announced again, so nothing in it is worth keeping or protecting.
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  #queue(settings: (typeof sqsQueues)[keyof typeof sqsQueues], { names }: FunctionsStackProps): sqs.Queue {
    const queue = new sqs.Queue(this, `Queue-${settings.name.replace('.fifo', '')}`, {
      queueName: names.resource(settings.name),
      ...(settings.fifo ? { fifo: true } : {}),
      retentionPeriod: Duration.seconds(settings.retentionS),
      visibilityTimeout: Duration.seconds(settings.visibilityTimeoutS),
      deliveryDelay: Duration.seconds(settings.delayS),
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
    });
    const reason =
      'What nobody took within its retention is stale, and an expired message never reaches a dead-letter queue; missing ticks and announcements raise alarms instead.';
    acknowledge(queue, 'AwsSolutions-SQS3', reason);
    acknowledge(queue, 'Serverless-SQSRedrivePolicy', reason);
    return queue;
  }

  #functions({
    stage,
    names,
    zips,
    addresses,
    placement,
  }: FunctionsStackProps): Record<FunctionName, FunctionWithOwnRole> {
    const environments = functionVariables(stage, names, addresses);
    const make = (name: FunctionName): FunctionWithOwnRole => {
      const { memoryMb, timeoutS } = functions[name];
      return new FunctionWithOwnRole(this, name, {
        functionName: names.function(name),
        description: `Baton ${stage.name}: ${name}`,
        zipFile: zips[name].zipFile,
        memoryMb,
        timeoutS,
        environment: environments[name],
        logGroupName: names.logGroup(`functions/${name}`),
        staleAfter: Duration.minutes(1),
        logRetentionDays: stage.kind === 'aws' ? stage.logRetentionDays : localLogRetentionDays,
        ...(placement && insideVpc.has(name) ? { placement } : {}),
      });
    };
    return Object.fromEntries(functionNames.map((name) => [name, make(name)])) as Record<
      FunctionName,
      FunctionWithOwnRole
    >;
  }

  #connectQueues(): void {
    for (const source of sqsEventSources) {
      const target = this.functions[source.function].function;
      target.addEventSource(
        new SqsEventSource(this.queueNamed(source.queue), {
          batchSize: source.batchSize,
          reportBatchItemFailures: source.reportBatchItemFailures,
        }),
      );
      acknowledge(
        target,
        'Serverless-LambdaEventSourceMappingDestination',
        'A failed batch stays in its SQS queue until it expires as stale; Lambda offers mappings of SQS no other destination.',
      );
    }
  }

  /** Rules, not Scheduler: docs/decisions/0020. */
  #connectSchedules(names: Names): void {
    for (const schedule of schedules) {
      const rule = new events.Rule(this, `Rule-${schedule.name}`, {
        ruleName: names.resource(schedule.name),
        schedule: events.Schedule.rate(Duration.minutes(schedule.everyMinutes)),
      });
      for (const target of schedule.targets)
        rule.addTarget(
          'sqs' in target
            ? new targets.SqsQueue(this.queueNamed(target.sqs))
            : new targets.LambdaFunction(this.functions[target.function].function, {
                // A tick that comes late is worth nothing, so it is neither kept nor tried again.
                retryAttempts: 0,
                maxEventAge: Duration.minutes(1),
              }),
        );
      acknowledge(
        rule,
        'Serverless-EventBusDLQ',
        'A tick that could not be delivered is worth nothing a minute later; missing ticks raise an alarm.',
      );
    }
  }

  #front({ stage, names }: FunctionsStackProps): lambda.Function {
    const name = functionNames.find((candidate) => functions[candidate].answersHttp);
    if (name === undefined) throw new Error('contracts/topology.ts gives no function a URL');
    const front = this.functions[name].function;
    if (stage.kind === 'local') {
      const { url } = front.addFunctionUrl({ authType: lambda.FunctionUrlAuthType.NONE });
      new CfnOutput(this, 'FrontUrl', { value: url, description: 'Leads every request to the leader' });
      return front;
    }
    // No function URL: whoever finds one may use up the executions of the whole account. The load balancer asks for its readers.
    front.addPermission('LoadBalancer', {
      principal: new iam.ServicePrincipal('elasticloadbalancing.amazonaws.com'),
      // By its name, since the group is made with its target, which has to be allowed before.
      sourceArn: this.formatArn({
        service: 'elasticloadbalancing',
        resource: 'targetgroup',
        resourceName: `${names.frontTargetGroup}/*`,
        arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
      }),
    });
    return front;
  }

  queueNamed(name: string): sqs.Queue {
    const queue = this.#queues.get(name);
    if (!queue)
      throw new Error(`contracts/topology.ts names the SQS queue ${name}, which it does not define`);
    return queue;
  }
}
