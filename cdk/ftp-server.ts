// The FTP server that partners and the scraper drop files on: vsftpd with TLS required, files on EFS. On private addresses
// only: the networks that a stage names as `partners` reach it over what the account connects them by (VPN, peering).
import { fileURLToPath } from 'node:url';
import { Duration } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecrAssets from 'aws-cdk-lib/aws-ecr-assets';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as cloudmap from 'aws-cdk-lib/aws-servicediscovery';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { DataStack } from './data-stack.ts';
import { fargateService, mountFolder, taskDefinition } from './fargate.ts';
import { logGroup } from './log-group.ts';
import type { Names } from './names.ts';
import type { NetworkStack } from './network-stack.ts';
import { ports } from './ports.ts';
import type { AwsStage } from './stage.ts';

export interface FtpServerProps {
  readonly stage: AwsStage;
  readonly names: Names;
  readonly network: NetworkStack;
  readonly data: DataStack;
  readonly cluster: ecs.ICluster;
  readonly namespace: cloudmap.INamespace;
}

const image = fileURLToPath(new URL('ftp-server', import.meta.url));
/** Where entrypoint.sh writes it. */
const certificate = '/run/vsftpd.pem';
/** Less than the 30 days for which a certificate is still good when the secret keeper makes the next one. */
const restartAfterDays = 20;

export class FtpServer extends Construct {
  constructor(scope: Construct, id: string, props: FtpServerProps) {
    super(scope, id);
    const { stage, names, network, data } = props;
    const task = taskDefinition(this, 'Task', { family: `${names.cluster}-ftp`, cpu: 256, memoryMb: 512 });
    const secret = (name: 'ftp' | 'tls/ftp', field: string) =>
      ecs.Secret.fromSecretsManager(data.secretNamed(name), field);
    const container = task.addContainer('ftp', {
      image: ecs.ContainerImage.fromAsset(image, { platform: ecrAssets.Platform.LINUX_ARM64 }),
      environment: {
        PASSIVE_PORT_MIN: String(ports.ftpPassiveMin),
        PASSIVE_PORT_MAX: String(ports.ftpPassiveMax),
      },
      secrets: {
        FTP_USERNAME: secret('ftp', 'username'),
        FTP_PASSWORD: secret('ftp', 'password'),
        TLS_CERT: secret('tls/ftp', 'cert'),
        TLS_KEY: secret('tls/ftp', 'key'),
      },
      // Process 1 in vsftpd's stead: see entrypoint.sh.
      linuxParameters: new ecs.LinuxParameters(this, 'Linux', { initProcessEnabled: true }),
      stopTimeout: Duration.seconds(30),
      healthCheck: {
        // Whether it greets whoever connects, by what Debian has: bash. And whether it started not too long ago: vsftpd reads its
        // certificate at a start alone, so ECS is made to start another one before that ends.
        command: [
          'CMD',
          'bash',
          '-c',
          `exec 3<>/dev/tcp/127.0.0.1/${ports.ftp} && read -t 3 line <&3 && [[ $line == 220* ]] && [[ -n $(find ${certificate} -mtime -${restartAfterDays}) ]]`,
        ],
        interval: Duration.seconds(30),
        timeout: Duration.seconds(5),
        retries: 3,
        startPeriod: Duration.seconds(30),
      },
      logging: ecs.LogDrivers.awsLogs({
        logGroup: logGroup(this, 'Log', { name: names.logGroup('ftp'), days: stage.logRetentionDays }),
        streamPrefix: 'ftp',
      }),
      portMappings: [{ containerPort: ports.ftp }],
    });
    mountFolder(container, {
      fileSystem: data.fileSystem,
      name: 'ftp',
      folder: '/ftp',
      permissions: '750',
      volume: 'files',
      containerPath: '/srv/ftp',
    });
    acknowledge(
      task,
      'AwsSolutions-ECS2',
      'The two variables are port numbers; login and key come from Secrets Manager.',
    );
    fargateService(this, 'Service', {
      serviceName: 'ftp',
      cluster: props.cluster,
      task,
      securityGroup: network.groups.ftp,
      namespace: props.namespace,
      subnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
    });
  }
}
