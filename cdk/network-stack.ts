// The VPC and its security groups, which are the only paths there are: each `allow` below is one line of the picture
// in docs/aws.md. Nothing but the load balancer can be reached from outside, and the FTP server from networks of partners that
// are connected to this one.
import { Fn, RemovalPolicy, Stack, type CfnResource, type StackProps } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { logGroup } from './log-group.ts';
import { ports } from './ports.ts';
import type { AwsStage } from './stage.ts';

const members = [
  'loadBalancer',
  'nodes',
  'functions',
  'broker',
  'database',
  'files',
  'ftp',
  'topology',
] as const;
type Member = (typeof members)[number];
const zones = 3;

export interface NetworkStackProps extends StackProps {
  readonly stage: AwsStage;
}

export class NetworkStack extends Stack {
  readonly vpc: ec2.IVpc;
  readonly groups: Readonly<Record<Member, ec2.SecurityGroup>>;

  constructor(scope: Construct, id: string, props: NetworkStackProps) {
    super(scope, id, { ...props, description: 'Baton: network and security groups' });
    this.vpc = this.#vpc(props.stage);
    this.groups = Object.fromEntries(members.map((name) => [name, this.#group(name)])) as Record<
      Member,
      ec2.SecurityGroup
    >;
    this.#connect(props.stage);
    if (props.stage.retainData) this.#stayWithDatabase();
  }

  /** A database that outlives its stack lives on in these, and all else can go: gateways cost, these do not. */
  #stayWithDatabase(): void {
    for (const { node } of [this.vpc, ...this.vpc.isolatedSubnets, this.groups.database])
      (node.defaultChild as CfnResource).applyRemovalPolicy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE);
  }

  #vpc(stage: AwsStage): ec2.IVpc {
    const vpc = new ec2.Vpc(this, 'Vpc', {
      // By index, so that nothing has to be looked up in an account.
      availabilityZones: Array.from({ length: zones }, (_, index) => Fn.select(index, Fn.getAzs())),
      natGateways: stage.natGateways,
      subnetConfiguration: [
        { name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
        { name: 'private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: 'data', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
      // Free, and their traffic does not pay for the NAT gateway.
      gatewayEndpoints: {
        s3: { service: ec2.GatewayVpcEndpointAwsService.S3 },
        dynamodb: { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB },
      },
    });
    const flowLog = logGroup(this, 'FlowLog', { days: stage.logRetentionDays });
    const role = new iam.Role(this, 'FlowLogRole', {
      assumedBy: new iam.ServicePrincipal('vpc-flow-logs.amazonaws.com'),
    });
    vpc.addFlowLog('Rejected', {
      destination: ec2.FlowLogDestination.toCloudWatchLogs(flowLog, role),
      // What was accepted is many times more and says little; what was refused is an attack or a mistake.
      trafficType: ec2.FlowLogTrafficType.REJECT,
    });
    // The library declares its interfaces without exactOptionalPropertyTypes, so its class does not fit its interface.
    return vpc as ec2.IVpc;
  }

  #group(name: Member): ec2.SecurityGroup {
    return new ec2.SecurityGroup(this, `Group-${name}`, {
      vpc: this.vpc,
      description: `Baton: ${name}`,
      // Nodes and functions ask AWS's APIs, and the scraper whole shops; the others never open a connection.
      allowAllOutbound: ['nodes', 'functions', 'ftp', 'topology', 'broker'].includes(name),
    });
  }

  #connect(stage: AwsStage): void {
    const { groups } = this;
    const allow = (from: Member, to: Member, port: ec2.Port, why: string) =>
      groups[to].connections.allowFrom(groups[from], port, why);

    for (const network of stage.readers) {
      groups.loadBalancer.connections.allowFrom(ec2.Peer.ipv4(network), ec2.Port.tcp(443), 'API and page');
      groups.loadBalancer.connections.allowFrom(ec2.Peer.ipv4(network), ec2.Port.tcp(80), 'to HTTPS');
    }
    const passive = ec2.Port.tcpRange(ports.ftpPassiveMin, ports.ftpPassiveMax);
    for (const network of stage.partners) {
      groups.ftp.connections.allowFrom(ec2.Peer.ipv4(network), ec2.Port.tcp(ports.ftp), 'FTP of partners');
      groups.ftp.connections.allowFrom(ec2.Peer.ipv4(network), passive, 'FTP data of partners');
    }
    allow('loadBalancer', 'nodes', ec2.Port.tcp(ports.web), 'public listener');
    allow('nodes', 'nodes', ec2.Port.udp(ports.raft), 'votes and heartbeats');
    allow('nodes', 'nodes', ec2.Port.tcp(ports.raft), 'evidence of a dead leader');
    allow('nodes', 'nodes', ec2.Port.tcp(ports.internal), 'a write forwarded to the leader');
    allow('functions', 'nodes', ec2.Port.tcp(ports.internal), 'batches, files, claims');
    allow('nodes', 'database', ec2.Port.tcp(ports.database), 'SQL');
    allow('nodes', 'files', ec2.Port.tcp(ports.nfs), 'vote files');
    allow('nodes', 'broker', ec2.Port.tcp(ports.broker), 'mails and commands');
    allow('functions', 'broker', ec2.Port.tcp(ports.broker), 'items, dead letters, retries');
    // Lambda's pollers live in the broker's own security group.
    allow('broker', 'broker', ec2.Port.tcp(ports.broker), 'event source mappings');
    allow('topology', 'broker', ec2.Port.tcp(443), 'declares queues and users');
    allow('functions', 'ftp', ec2.Port.tcp(ports.ftp), 'FTP commands');
    allow('functions', 'ftp', passive, 'FTP data');
    allow('ftp', 'files', ec2.Port.tcp(ports.nfs), 'dropped files');
  }
}
