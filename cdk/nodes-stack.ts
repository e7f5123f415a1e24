// The nodes: one ECS service each, so that a name, a vote file and a place in the rollout belong to one node for good
// (docs/decisions/0022). Nothing that votes is ever scaled by a machine. The load balancer carries the public listener.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CfnOutput, Duration, IgnoreMode, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecrAssets from 'aws-cdk-lib/aws-ecr-assets';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as route53Targets from 'aws-cdk-lib/aws-route53-targets';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as cloudmap from 'aws-cdk-lib/aws-servicediscovery';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { publicRoutes } from '../contracts/public-routes.ts';
import { acknowledge } from './acknowledge.ts';
import { frontHost, nodeIds, privateDomain } from './addresses.ts';
import type { DataStack } from './data-stack.ts';
import { secretsIn } from './function-environment.ts';
import { FtpServer } from './ftp-server.ts';
import { retentionOf } from './log-retention.ts';
import type { Names } from './names.ts';
import type { NetworkStack } from './network-stack.ts';
import { dataFolder, nodeEnvironment } from './node-environment.ts';
import { ports } from './ports.ts';
import type { AwsStage } from './stage.ts';
import { fargateService, grantFiles, nameTtlS, taskDefinition } from './fargate.ts';

export interface NodesStackProps extends StackProps {
  readonly stage: AwsStage;
  readonly names: Names;
  readonly network: NetworkStack;
  readonly data: DataStack;
  readonly brokerUrl: string;
  readonly announceQueue: sqs.IQueue;
  /** Leads to the leader; may be called by the target group that `names` calls the front's. */
  readonly front: lambda.IFunction;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const cpu = 256;
const memoryMb = 512; // A busy node stays below 200 MB.
/** SIGTERM hands leadership over and drains in 9 s; the rest is for a slow disk. */
const stopTimeoutS = 30;
/** The most that ECS allows: a start may have a schema to migrate, and listens after that (nodes/database/migrate.ts). */
const startWithinS = 300;
const accessLogDays = 30;

export class NodesStack extends Stack {
  readonly logGroup: logs.LogGroup;
  readonly loadBalancer: elb.ApplicationLoadBalancer;
  readonly allNodes: elb.ApplicationTargetGroup;
  readonly cluster: ecs.ICluster;
  readonly services: readonly ecs.FargateService[];
  readonly #props: NodesStackProps;

  constructor(scope: Construct, id: string, props: NodesStackProps) {
    super(scope, id, { ...props, description: 'Baton: nodes, load balancer, FTP server' });
    this.#props = props;
    const { stage, names, network } = props;
    this.cluster = new ecs.Cluster(this, 'Cluster', {
      clusterName: names.cluster,
      vpc: network.vpc,
      containerInsightsV2: ecs.ContainerInsights.ENABLED,
    }) as ecs.ICluster; // See network-stack.ts: the class does not fit its interface.
    const namespace = new cloudmap.PrivateDnsNamespace(this, 'Names', {
      name: privateDomain(stage),
      vpc: network.vpc,
    });
    // While a task moves its name has no address, and that answer is cached for as long as this says: for minutes by default,
    // in which a deploy would go on to the next node.
    (namespace.node.defaultChild as cloudmap.CfnPrivateDnsNamespace).properties = {
      dnsProperties: { soa: { ttl: nameTtlS } },
    };
    this.logGroup = new logs.LogGroup(this, 'Log', {
      logGroupName: names.logGroup('nodes'),
      retention: retentionOf(stage.logRetentionDays),
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const image = ecs.ContainerImage.fromAsset(root, {
      file: 'nodes/Dockerfile',
      platform: ecrAssets.Platform.LINUX_ARM64,
      buildArgs: { NODE_TAG: `${readFileSync(join(root, '.node-version'), 'utf8').trim()}-bookworm-slim` },
      // Only what runs: a changed test builds no new image.
      ignoreMode: IgnoreMode.DOCKER,
      exclude: [
        '**',
        '!package.json',
        '!package-lock.json',
        '!.npmrc',
        '!contracts/**',
        '!runtime/**',
        '!nodes/**',
      ],
    });
    this.services = nodeIds.map((nodeId) => this.#node(nodeId, { image, namespace }));
    // CloudFormation waits until a service is steady before it starts the next: a rollout never takes two nodes away.
    for (const [index, service] of this.services.entries()) {
      const before = this.services[index - 1];
      if (before) service.node.addDependency(before);
    }
    ({ loadBalancer: this.loadBalancer, allNodes: this.allNodes } = this.#publicListener());
    if (stage.ftpServer)
      new FtpServer(this, 'Ftp', {
        ...props,
        cluster: this.cluster,
        namespace,
      });
  }

  #node(
    nodeId: string,
    { image, namespace }: { image: ecs.ContainerImage; namespace: cloudmap.INamespace },
  ): ecs.FargateService {
    const { stage, names, network, data, brokerUrl, announceQueue } = this.#props;
    const environment = nodeEnvironment(nodeId, {
      stage,
      names,
      database: data.database,
      brokerUrl,
      announceQueueUrl: announceQueue.queueUrl,
    });
    const task = taskDefinition(this, `Task-${nodeId}`, {
      family: `${names.cluster}-${nodeId}`,
      cpu,
      memoryMb,
    });
    const accessPoint = data.fileSystem.addAccessPoint(`Point-${nodeId}`, {
      path: `/nodes/${nodeId}`,
      createAcl: { ownerUid: '1000', ownerGid: '1000', permissions: '700' },
      posixUser: { uid: '1000', gid: '1000' },
    });
    task.addVolume({
      name: 'data',
      efsVolumeConfiguration: {
        fileSystemId: data.fileSystem.fileSystemId,
        transitEncryption: 'ENABLED',
        authorizationConfig: { accessPointId: accessPoint.accessPointId, iam: 'ENABLED' },
      },
    });
    grantFiles(task, { fileSystem: data.fileSystem, accessPoint });
    announceQueue.grantSendMessages(task.taskRole);
    data.database.secret.grantRead(task.taskRole);
    const own = names.secret('');
    for (const name of secretsIn(environment).filter((id) => id.startsWith(own)))
      secretsmanager.Secret.fromSecretNameV2(this, `${nodeId}-${name}`, name).grantRead(task.taskRole);

    const container = task.addContainer('node', {
      image,
      environment,
      readonlyRootFilesystem: true,
      stopTimeout: Duration.seconds(stopTimeoutS),
      logging: ecs.LogDrivers.awsLogs({ logGroup: this.logGroup, streamPrefix: nodeId }),
      healthCheck: {
        // Whether the process answers, and not whether it leads. By bash alone: a Node for every look would take a good part of
        // a quarter of a processor, and the election its turns.
        command: ['CMD', 'bash', '-c', answersHealth(ports.web)],
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        retries: 3,
        startPeriod: Duration.seconds(startWithinS),
      },
      portMappings: [
        { containerPort: ports.web, protocol: ecs.Protocol.TCP },
        { containerPort: ports.internal, protocol: ecs.Protocol.TCP },
        { containerPort: ports.raft, protocol: ecs.Protocol.UDP },
        { containerPort: ports.raft, protocol: ecs.Protocol.TCP },
      ],
    });
    container.addMountPoints({ sourceVolume: 'data', containerPath: dataFolder, readOnly: false });
    acknowledge(
      task,
      'AwsSolutions-ECS2',
      'The variables are addresses and places of secrets; no secret is among them, which a test checks.',
    );
    return fargateService(this, `Service-${nodeId}`, {
      serviceName: nodeId,
      cluster: this.cluster,
      task,
      securityGroup: network.groups.nodes,
      namespace,
      subnets: { subnets: [subnetOf(nodeId, network)] },
      isStopped: stage.nodesStopped,
      healthCheckGracePeriod: Duration.seconds(startWithinS),
    });
  }

  #publicListener(): {
    loadBalancer: elb.ApplicationLoadBalancer;
    allNodes: elb.ApplicationTargetGroup;
  } {
    const { stage, names, network, front } = this.#props;
    const zone = route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: stage.domain.hostedZoneId,
      zoneName: stage.domain.name,
    });
    const certificate = new acm.Certificate(this, 'Certificate', {
      domainName: stage.domain.name,
      subjectAlternativeNames: [`*.${stage.domain.name}`],
      validation: acm.CertificateValidation.fromDns(zone),
    });
    const loadBalancer = new elb.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: network.vpc,
      internetFacing: true,
      securityGroup: network.groups.loadBalancer,
      dropInvalidHeaderFields: true,
      // Less than the 72 s after which Fastify closes a connection at rest, or a request may meet one that is being closed;
      // and more than the 10 s after which a live stream says something.
      idleTimeout: Duration.seconds(60),
    });
    this.#accessLog(loadBalancer);
    loadBalancer.addRedirect({ open: false });
    const targetGroup = (id: string, services: readonly ecs.FargateService[]) =>
      new elb.ApplicationTargetGroup(this, id, {
        vpc: network.vpc,
        port: ports.web,
        protocol: elb.ApplicationProtocol.HTTP,
        targets: services.map((service) =>
          service.loadBalancerTarget({ containerName: 'node', containerPort: ports.web }),
        ),
        // Never a leader-only check: ECS would replace every follower.
        healthCheck: {
          path: publicRoutes.health,
          protocol: elb.Protocol.HTTP,
          interval: Duration.seconds(10),
          healthyThresholdCount: 2,
          unhealthyThresholdCount: 3,
        },
        deregistrationDelay: Duration.seconds(10),
      });
    const allNodes = targetGroup('AllNodes', this.services);
    const listener = loadBalancer.addListener('Https', {
      port: 443,
      open: false,
      certificates: [certificate],
      sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
      defaultTargetGroups: [allNodes],
    });
    for (const [index, service] of this.services.entries()) {
      const nodeId = nodeIds[index] as string;
      listener.addTargetGroups(`Rule-${nodeId}`, {
        priority: index + 1,
        conditions: [elb.ListenerCondition.hostHeaders([`${nodeId}.${stage.domain.name}`])],
        targetGroups: [targetGroup(`Only-${nodeId}`, [service])],
      });
    }
    listener.addTargetGroups('Rule-front', {
      priority: nodeIds.length + 1,
      conditions: [elb.ListenerCondition.hostHeaders([frontHost(stage)])],
      targetGroups: [
        new elb.ApplicationTargetGroup(this, 'Front', {
          targetGroupName: names.frontTargetGroup,
          targetType: elb.TargetType.LAMBDA,
          // Not the library's own target, which lets any load balancer of any account call the function.
          targets: [
            {
              attachToApplicationTargetGroup: () => ({
                targetType: elb.TargetType.LAMBDA,
                targetJson: { id: front.functionArn },
              }),
            },
          ],
        }),
      ],
    });
    const target = route53.RecordTarget.fromAlias(new route53Targets.LoadBalancerTarget(loadBalancer));
    new route53.ARecord(this, 'Name', { zone, target });
    new route53.ARecord(this, 'NodeNames', { zone, target, recordName: '*' });
    new CfnOutput(this, 'PublicUrl', { value: `https://${stage.domain.name}` });
    new CfnOutput(this, 'FrontUrl', {
      value: `https://${frontHost(stage)}`,
      description: 'Leads every request to the leader',
    });
    return { loadBalancer, allNodes };
  }

  #accessLog(loadBalancer: elb.ApplicationLoadBalancer): void {
    const bucket = new s3.Bucket(this, 'AccessLog', {
      encryption: s3.BucketEncryption.S3_MANAGED, // The only one that a load balancer writes to.
      enforceSSL: true,
      lifecycleRules: [{ expiration: Duration.days(accessLogDays) }],
      removalPolicy: RemovalPolicy.RETAIN,
    });
    bucket.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('logdelivery.elasticloadbalancing.amazonaws.com')],
        actions: ['s3:PutObject'],
        resources: [bucket.arnForObjects(`AWSLogs/${this.account}/*`)],
      }),
    );
    acknowledge(bucket, 'AwsSolutions-S1', 'It is the log; a log of reading the log would go on for ever.');
    // Not logAccessLogs(): that one wants to know the region at synthesis.
    loadBalancer.setAttribute('access_logs.s3.enabled', 'true');
    loadBalancer.setAttribute('access_logs.s3.bucket', bucket.bucketName);
    loadBalancer.node.addDependency(bucket);
  }
}

/** A command of bash, which the image has: 0 when GET /health answers 200. */
function answersHealth(port: number): string {
  return [
    `exec 3<>/dev/tcp/127.0.0.1/${port}`,
    String.raw`printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3`,
    'read -r -t 3 line <&3',
    "[[ $line == *' 200 '* ]]",
  ].join(' && ');
}

/** ECS spreads the tasks of one service over zones, and here each is a service: so each node is given its zone. */
function subnetOf(nodeId: string, { vpc }: NetworkStack): ec2.ISubnet {
  const subnet = vpc.privateSubnets[nodeIds.indexOf(nodeId) % vpc.privateSubnets.length];
  if (!subnet) throw new Error(`no private subnet for ${nodeId}`);
  return subnet;
}
