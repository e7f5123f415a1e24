// What outlives everything else: database, file system, secrets. Kept when the stack is deleted where the stage says
// so. Holds no secret in its template: each is made at deploy, by Secrets Manager or by the secret keeper.
import {
  Aspects,
  CfnDeletionPolicy,
  CfnResource,
  Duration,
  RemovalPolicy,
  Stack,
  type StackProps,
} from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as efs from 'aws-cdk-lib/aws-efs';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as logs from 'aws-cdk-lib/aws-logs';
import * as rds from 'aws-cdk-lib/aws-rds';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { CertificateOwner, EnvironmentInput } from '../contracts/environment.ts';
import type { MadeSecretName, SecretName } from '../contracts/secrets.ts';
import { brokerUsers, functionsThatCallNodes } from '../contracts/topology.ts';
import { acknowledge } from './acknowledge.ts';
import { hostOf, nodeIds } from './addresses.ts';
import { FunctionWithOwnRole } from './function-with-own-role.ts';
import { logGroup } from './log-group.ts';
import type { SetByRuntime } from './function-environment.ts';
import { metricNamespace, type Names } from './names.ts';
import type { NetworkStack } from './network-stack.ts';
import { ports } from './ports.ts';
import type { AwsStage } from './stage.ts';

export interface DataStackProps extends StackProps {
  readonly stage: AwsStage;
  readonly names: Names;
  readonly network: NetworkStack;
  readonly secretKeeperZip: string;
}
export interface Database {
  readonly host: string;
  /** The secret that RDS makes and rotates: JSON { username, password }. Of the restored database where a stage names it. */
  readonly secret: secretsmanager.ISecret;
  readonly kind: 'instance' | 'cluster';
}

export const databaseName = 'baton';
const databaseUser = 'baton';
const backupDays = { kept: 14, short: 7 } as const;

export class DataStack extends Stack {
  readonly database: Database;
  readonly fileSystem: efs.FileSystem;
  readonly secretKeeper: FunctionWithOwnRole;
  readonly #secretsByName = new Map<SecretName, secretsmanager.ISecret>();
  readonly #props: DataStackProps;
  readonly #removal: RemovalPolicy;

  constructor(scope: Construct, id: string, props: DataStackProps) {
    super(scope, id, { ...props, description: 'Baton: database, vote files, secrets' });
    this.#props = props;
    this.#removal = props.stage.retainData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    const database = props.stage.database === 'aurora' ? this.#aurora() : this.#instance();
    // Stays exported when nodes are told of a restored one: CloudFormation lets nothing go that a stack still uses, and
    // this stack is deployed before theirs.
    this.exportValue(database.secret.secretArn);
    this.database = { ...database, secret: this.#restoredSecret() ?? database.secret };
    this.fileSystem = this.#fileSystem();
    this.secretKeeper = this.#secrets();
    for (const user of ['admin', ...brokerUsers] as const) this.#login(`broker/${user}`, user);
    this.#login('ftp', 'baton');
    // SMTP servers give their own credentials: docs/aws.md says when to fill them in.
    this.#login('smtp', 'fill-me-in');
    this.#goWhenCreationFails();
  }

  /**
   * What is kept has names of its own: were it kept when the deploy that makes it fails, the next deploy would find them taken.
   * RDS's constructs know `RETAIN` alone of what keeps, so the templates are told afterwards.
   */
  #goWhenCreationFails(): void {
    Aspects.of(this).add({
      visit: (node) => {
        if (node instanceof CfnResource && node.cfnOptions.deletionPolicy === CfnDeletionPolicy.RETAIN)
          node.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE;
      },
    });
    // Last, since one that is protected from deletion would not go when something else of this stack fails.
    const others = [this.fileSystem, this.node.findChild('Filled'), ...this.#secretsByName.values()];
    this.node.findChild('Database').node.addDependency(...others);
  }

  /** For the secrets that AWS itself reads, which it does by full ARN: ECS and the event source. Others find theirs by name. */
  secretNamed(name: SecretName): secretsmanager.ISecret {
    return this.#secretsByName.get(name) ?? fail(`no secret ${name}`);
  }

  #instance(): Database {
    const { stage, names, network } = this.#props;
    const engine = rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.VER_18_3 });
    const log = this.#databaseLog('instance');
    const instance = new rds.DatabaseInstance(this, 'Database', {
      instanceIdentifier: names.cluster,
      engine,
      instanceType: ec2.InstanceType.of(ec2.InstanceClass.T4G, ec2.InstanceSize.MICRO),
      vpc: network.vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      securityGroups: [network.groups.database],
      databaseName,
      credentials: rds.Credentials.fromUsername(databaseUser),
      manageMasterUserPassword: true,
      parameterGroup: this.#tlsOnly(engine),
      allocatedStorage: 20,
      maxAllocatedStorage: 100,
      storageType: rds.StorageType.GP3,
      storageEncrypted: true,
      iamAuthentication: true,
      port: ports.database,
      backupRetention: Duration.days(stage.retainData ? backupDays.kept : backupDays.short),
      deletionProtection: stage.retainData,
      removalPolicy: this.#removal,
      autoMinorVersionUpgrade: true,
      // Only ever by another `version` above. Of a cluster CloudFormation asks for it by itself, and knows no such property.
      allowMajorVersionUpgrade: true,
      cloudwatchLogsExports: ['postgresql'],
    });
    instance.node.addDependency(log);
    acknowledge(
      instance,
      'AwsSolutions-RDS3',
      'One zone: this stage trades an outage of its zone for half the price; prod runs Aurora with a reader.',
    );
    acknowledge(
      instance,
      'AwsSolutions-RDS10',
      'A stage whose data is not kept has to come down without steps by hand; prod protects its own.',
    );
    acknowledge(instance, 'AwsSolutions-RDS11', defaultPort);
    return {
      host: instance.dbInstanceEndpointAddress,
      secret: secretOf(instance.secret, 'the database instance'),
      kind: 'instance',
    };
  }

  #aurora(): Database {
    const { stage, names, network } = this.#props;
    const engine = rds.DatabaseClusterEngine.auroraPostgres({
      version: rds.AuroraPostgresEngineVersion.VER_18_3,
    });
    const log = this.#databaseLog('cluster');
    const cluster = new rds.DatabaseCluster(this, 'Database', {
      clusterIdentifier: names.cluster,
      engine,
      writer: rds.ClusterInstance.serverlessV2('writer', { autoMinorVersionUpgrade: true }),
      readers: [rds.ClusterInstance.serverlessV2('reader', { scaleWithWriter: true })],
      serverlessV2MinCapacity: 0.5,
      serverlessV2MaxCapacity: 8,
      vpc: network.vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      securityGroups: [network.groups.database],
      defaultDatabaseName: databaseName,
      credentials: rds.Credentials.fromUsername(databaseUser),
      manageMasterUserPassword: true,
      parameterGroup: this.#tlsOnly(engine),
      storageEncrypted: true,
      iamAuthentication: true,
      port: ports.database,
      backup: { retention: Duration.days(stage.retainData ? backupDays.kept : backupDays.short) },
      deletionProtection: stage.retainData,
      removalPolicy: this.#removal,
      cloudwatchLogsExports: ['postgresql'],
    });
    cluster.node.addDependency(log);
    acknowledge(cluster, 'AwsSolutions-RDS11', defaultPort);
    return {
      host: cluster.clusterEndpoint.hostname,
      secret: secretOf(cluster.secret, 'the database cluster'),
      kind: 'cluster',
    };
  }

  #restoredSecret(): secretsmanager.ISecret | undefined {
    const { databaseSecretArn: arn } = this.#props.stage;
    return arn === undefined
      ? undefined
      : secretsmanager.Secret.fromSecretCompleteArn(this, 'RestoredSecret', arn);
  }

  /** Made before the database writes to it, so that it has an end; RDS makes one that keeps for ever. */
  #databaseLog(kind: 'instance' | 'cluster'): logs.LogGroup {
    const { stage, names } = this.#props;
    return logGroup(this, 'DatabaseLog', {
      name: `/aws/rds/${kind}/${names.cluster}/postgresql`,
      days: stage.logRetentionDays,
      removal: this.#removal,
    });
  }

  #tlsOnly(engine: rds.IEngine): rds.ParameterGroup {
    return new rds.ParameterGroup(this, 'DatabaseParameters', {
      engine,
      description: 'Baton: TLS required, slow statements logged',
      removalPolicy: this.#removal, // The database that stays uses it.
      parameters: {
        'rds.force_ssl': '1',
        log_min_duration_statement: '1000',
        log_parameter_max_length: '0', // Among them are mail addresses, also of whoever is being forgotten.
      },
    });
  }

  #fileSystem(): efs.FileSystem {
    const { network } = this.#props;
    return new efs.FileSystem(this, 'Files', {
      vpc: network.vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      securityGroup: network.groups.files,
      encrypted: true,
      enableAutomaticBackups: true,
      // Of CDK this says no more than that it adds nothing to the policy below. One that allows nothing leaves the roles'
      // own, each for its access point, and so shuts out whoever has none.
      allowAnonymousAccess: true,
      fileSystemPolicy: new iam.PolicyDocument({
        statements: [
          new iam.PolicyStatement({
            effect: iam.Effect.DENY,
            principals: [new iam.AnyPrincipal()],
            actions: ['*'],
            conditions: { Bool: { 'aws:SecureTransport': 'false' } },
          }),
        ],
      }),
      removalPolicy: this.#removal,
    });
  }

  #secrets(): FunctionWithOwnRole {
    const { stage, names } = this.#props;
    const owners: readonly CertificateOwner[] = [
      ...nodeIds.map((id) => ({ name: id, hosts: [hostOf(stage, id)] })),
      ...functionsThatCallNodes.map((name) => ({ name, hosts: [] })),
      ...(stage.ftpServer ? [{ name: 'ftp', hosts: [hostOf(stage, 'ftp')] }] : []),
    ];
    const made = [
      ...owners.map(({ name }): MadeSecretName => `tls/${name}`),
      'authority',
      'trust',
      'cluster-keys',
      'tokens',
    ] as const satisfies readonly MadeSecretName[];
    const keeper = new FunctionWithOwnRole(this, 'SecretKeeper', {
      functionName: `${names.cluster}-secret-keeper`,
      description: `Baton ${stage.name}: makes and renews keys and certificates`,
      zipFile: this.#props.secretKeeperZip,
      memoryMb: 256,
      timeoutS: 120,
      environment: {
        BATON_CLUSTER: names.cluster,
        BATON_SECRET_PREFIX: names.secret(''),
        BATON_CERTIFICATES: JSON.stringify(owners),
        BATON_METRIC_NAMESPACE: metricNamespace(stage),
      } satisfies Omit<EnvironmentInput<'secret-keeper'>, SetByRuntime>,
      logGroupName: names.logGroup('functions/secret-keeper'),
      logRetentionDays: stage.logRetentionDays,
    });
    // Another owner or host is another certificate; another keeper may make what nodes of its release want to read.
    const filled = keeper.runAtDeploy(this, 'Filled', { owners: JSON.stringify(owners) });
    for (const name of made) {
      const secret = this.#secret(name, 'made and renewed by the secret keeper');
      secret.grantRead(keeper.function);
      iam.Grant.addToPrincipal({
        grantee: keeper.function,
        actions: ['secretsmanager:PutSecretValue'],
        resourceArns: [secret.secretArn],
      });
      filled.node.addDependency(secret);
    }
    const renewal = new events.Rule(this, 'RenewDaily', {
      description: 'Renews certificates at two thirds of their life',
      schedule: events.Schedule.rate(Duration.days(1)),
      targets: [new targets.LambdaFunction(keeper.function, { retryAttempts: 2 })],
    });
    acknowledge(
      renewal,
      'Serverless-EventBusDLQ',
      'A renewal that was missed is made up for the next day, weeks before a certificate ends, and an alarm watches the days left.',
    );
    return keeper;
  }

  #secret(name: SecretName, about: string): secretsmanager.Secret {
    const secret = new secretsmanager.Secret(this, `Secret-${name}`, {
      secretName: this.#props.names.secret(name),
      description: `Baton ${this.#props.stage.name}: ${about}`,
      removalPolicy: this.#removal,
    });
    acknowledge(
      secret,
      'AwsSolutions-SMG4',
      'The secret keeper renews certificates itself; keys and tokens are rolled by the steps in docs/aws.md, since two values have to be good at once.',
    );
    this.#keep(name, secret);
    return secret;
  }

  #keep(name: SecretName, secret: secretsmanager.Secret): void {
    // See network-stack.ts: the class does not fit its interface.
    this.#secretsByName.set(name, secret as secretsmanager.ISecret);
  }

  #login(name: SecretName, username: string): void {
    const secret = new secretsmanager.Secret(this, `Secret-${name}`, {
      secretName: this.#props.names.secret(name),
      description: `Baton ${this.#props.stage.name}: login ${name}`,
      removalPolicy: this.#removal,
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ username }),
        generateStringKey: 'password',
        // Amazon MQ refuses comma, colon and equals sign, an FTP login ends at a blank.
        excludePunctuation: true,
        passwordLength: 32,
      },
    });
    acknowledge(
      secret,
      'AwsSolutions-SMG4',
      'Rolled by hand as docs/aws.md says, "Keys and passwords": the server and its callers have to learn it together.',
    );
    this.#keep(name, secret);
  }
}

const defaultPort =
  'Another port hides nothing from whoever is in the security group, and nobody else reaches it.';

function secretOf(secret: secretsmanager.ISecret | undefined, what: string): secretsmanager.ISecret {
  return secret ?? fail(`${what} has no secret: manageMasterUserPassword is not set`);
}
function fail(message: string): never {
  throw new Error(message);
}
