// How every Fargate service here is made: ARM, one task and never two, found by its own name, rolled back when it does
// not come up. Roles start empty; the caller grants.
import { Duration } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as efs from 'aws-cdk-lib/aws-efs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as cloudmap from 'aws-cdk-lib/aws-servicediscovery';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';

/** A task that moves is found again within seconds: for so long a name's address is kept, and that it has none. */
export const nameTtlS = 5;

export function taskDefinition(
  scope: Construct,
  id: string,
  { family, cpu, memoryMb }: { family: string; cpu: number; memoryMb: number },
): ecs.FargateTaskDefinition {
  const task = new ecs.FargateTaskDefinition(scope, id, {
    family,
    cpu,
    memoryLimitMiB: memoryMb,
    runtimePlatform: {
      cpuArchitecture: ecs.CpuArchitecture.ARM64,
      operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
    },
  });
  acknowledge(
    task.obtainExecutionRole(),
    'AwsSolutions-IAM5[Resource::*]',
    'ecr:GetAuthorizationToken knows no resource; which images may be pulled is named beside it.',
  );
  return task;
}

export function fargateService(
  scope: Construct,
  id: string,
  props: {
    serviceName: string;
    cluster: ecs.ICluster;
    task: ecs.FargateTaskDefinition;
    securityGroup: ec2.ISecurityGroup;
    namespace: cloudmap.INamespace;
    subnets: ec2.SubnetSelection;
    /** Its task definition is there all the same, for tasks that run once. */
    isStopped?: boolean;
    /** For how long a load balancer that finds it unhealthy is not heeded after a start. Where there is one. */
    healthCheckGracePeriod?: Duration;
  },
): ecs.FargateService {
  return new ecs.FargateService(scope, id, {
    serviceName: props.serviceName,
    cluster: props.cluster,
    taskDefinition: props.task,
    platformVersion: ecs.FargatePlatformVersion.VERSION1_4,
    desiredCount: props.isStopped === true ? 0 : 1,
    // The old task ends before the new one starts: two of one identity would share a vote file.
    minHealthyPercent: 0,
    maxHealthyPercent: 100,
    // Rebalancing starts the second task first, and is on by default.
    availabilityZoneRebalancing: ecs.AvailabilityZoneRebalancing.DISABLED,
    circuitBreaker: { enable: true, rollback: true },
    ...(props.healthCheckGracePeriod ? { healthCheckGracePeriod: props.healthCheckGracePeriod } : {}),
    vpcSubnets: props.subnets,
    securityGroups: [props.securityGroup],
    assignPublicIp: false,
    enableExecuteCommand: false,
    cloudMapOptions: {
      name: props.serviceName,
      cloudMapNamespace: props.namespace,
      dnsRecordType: cloudmap.DnsRecordType.A,
      dnsTtl: Duration.seconds(nameTtlS),
    },
  });
}

/** Through this access point alone, so that a task sees its own folder and no other. */
export function grantFiles(
  task: ecs.FargateTaskDefinition,
  { fileSystem, accessPoint }: { fileSystem: efs.IFileSystem; accessPoint: efs.IAccessPoint },
): void {
  task.addToTaskRolePolicy(
    new iam.PolicyStatement({
      actions: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
      resources: [fileSystem.fileSystemArn],
      conditions: { StringEquals: { 'elasticfilesystem:AccessPointArn': accessPoint.accessPointArn } },
    }),
  );
}
