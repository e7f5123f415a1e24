// Amazon MQ for RabbitMQ, private, with the users, exchanges and queues of contracts/topology.ts declared at deploy.
import { createHash } from 'node:crypto';
import { type CustomResource, Fn, Stack, type StackProps } from 'aws-cdk-lib';
import * as amazonmq from 'aws-cdk-lib/aws-amazonmq';
import type { Construct } from 'constructs';
import type { EnvironmentInput } from '../contracts/environment.ts';
import { brokerUsers, exchanges, queuesOf } from '../contracts/topology.ts';
import { acknowledge } from './acknowledge.ts';
import { FunctionWithOwnRole } from './function-with-own-role.ts';
import type { Names } from './names.ts';
import type { NetworkStack } from './network-stack.ts';
import type { AwsStage } from './stage.ts';

export interface BrokerStackProps extends StackProps {
  readonly stage: AwsStage;
  readonly names: Names;
  readonly network: NetworkStack;
  readonly topologyZip: string;
}

/** Its own minor versions follow by themselves; 4.2 is the first whose default queue is a quorum queue. */
const engineVersion = '4.2';
/** The smallest on which 4.x runs. */
const instanceType = 'mq.m7g.medium';

export class BrokerStack extends Stack {
  readonly broker: amazonmq.CfnBroker;
  /** amqps://host:5671 */
  readonly url: string;
  /** Everything in it is declared when this is there. */
  readonly declared: CustomResource;

  constructor(scope: Construct, id: string, props: BrokerStackProps) {
    super(scope, id, { ...props, description: 'Baton: RabbitMQ and what is declared in it' });
    this.broker = this.#broker(props);
    this.url = Fn.select(0, this.broker.attrAmqpEndpoints);
    this.declared = this.#declare(props);
  }

  #broker({ stage, names, network }: BrokerStackProps): amazonmq.CfnBroker {
    const subnets = network.vpc.privateSubnets.map(({ subnetId }) => subnetId);
    const field = (key: string) =>
      `{{resolve:secretsmanager:${names.secret('broker/admin')}:SecretString:${key}}}`;
    const broker = new amazonmq.CfnBroker(this, 'Broker', {
      brokerName: names.cluster,
      engineType: 'RABBITMQ',
      engineVersion,
      hostInstanceType: instanceType,
      deploymentMode: stage.brokerDeployment,
      // Each subnet may be used once, and a single instance lives in one.
      subnetIds: stage.brokerDeployment === 'SINGLE_INSTANCE' ? subnets.slice(0, 1) : subnets,
      securityGroups: [network.groups.broker.securityGroupId],
      publiclyAccessible: false,
      autoMinorVersionUpgrade: true,
      maintenanceWindowStartTime: { dayOfWeek: 'TUESDAY', timeOfDay: '03:00', timeZone: 'UTC' },
      encryptionOptions: { useAwsOwnedKey: true },
      logs: { general: true },
      users: [{ username: field('username'), password: field('password') }],
    });
    if (stage.brokerDeployment === 'SINGLE_INSTANCE')
      acknowledge(
        broker,
        'AwsSolutions-AMQ3',
        'A single instance is down in its weekly maintenance window; this stage takes that for a third of the price.',
      );
    return broker;
  }

  #declare({ stage, names, network, topologyZip }: BrokerStackProps): CustomResource {
    const declare = new FunctionWithOwnRole(this, 'Topology', {
      functionName: `${names.cluster}-broker-topology`,
      description: `Baton ${stage.name}: declares exchanges, queues and users`,
      zipFile: topologyZip,
      memoryMb: 256,
      timeoutS: 120,
      environment: {
        BATON_MANAGEMENT_URL: consoleUrl(this.broker),
        BATON_BROKER_ADMIN_URI: names.secretUri('broker/admin'),
        BATON_BROKER_USERS_PREFIX: `${names.secret('')}broker/`,
        BATON_ITEM_PARTITIONS: String(stage.itemPartitions),
      } satisfies EnvironmentInput<'broker-topology'>,
      reads: brokerUsers.map((user) => names.secret(`broker/${user}`)),
      logGroupName: names.logGroup('functions/broker-topology'),
      logRetentionDays: stage.logRetentionDays,
      placement: { vpc: network.vpc, securityGroup: network.groups.topology },
    });
    const topology = JSON.stringify({ exchanges, queues: queuesOf(stage.itemPartitions) });
    // A changed contract is declared by the deploy that brings it, and so is what the function makes of it: permissions.
    const declared = declare.runAtDeploy(this, 'Declared', {
      topology: createHash('sha256').update(topology).digest('hex'),
    });
    declared.node.addDependency(this.broker, declare);
    return declared;
  }
}

/** The management API answers where the AMQP endpoint is, on 443: amqps://host:5671 becomes https://host. */
function consoleUrl(broker: amazonmq.CfnBroker): string {
  const host = Fn.select(
    0,
    Fn.split(':', Fn.select(1, Fn.split('://', Fn.select(0, broker.attrAmqpEndpoints)))),
  );
  return `https://${host}`;
}
