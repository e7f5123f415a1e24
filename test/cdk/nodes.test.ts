// A node is one ECS service, whose identity (name, vote file, place in the rollout) is its own for good: what the
// election relies on, asserted on the templates.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { nodes } from '../../contracts/topology.ts';
import { migrateWithinMs } from '../../nodes/database/migrate.ts';
import { keepAliveEveryMs } from '../../nodes/web/live.ts';
import { account, region } from './resolve.ts';
import { ofType, stackOf, synthesized, synthesizeWith } from './synthesize.ts';

const nodeIds = Array.from({ length: nodes.countDefault }, (_, index) => `node-${index + 1}`);
const serviceSchema = z.object({
  ServiceName: z.string(),
  DesiredCount: z.number(),
  AvailabilityZoneRebalancing: z.string(),
  LaunchType: z.string(),
  EnableExecuteCommand: z.boolean(),
  HealthCheckGracePeriodSeconds: z.number().optional(),
  TaskDefinition: z.string(),
  NetworkConfiguration: z.object({ AwsvpcConfiguration: z.object({ Subnets: z.array(z.string()) }) }),
  DeploymentConfiguration: z.object({
    MinimumHealthyPercent: z.number(),
    MaximumPercent: z.number(),
    DeploymentCircuitBreaker: z.object({ Enable: z.boolean(), Rollback: z.boolean() }),
  }),
});
const taskSchema = z.object({
  Cpu: z.string(),
  Memory: z.string(),
  RuntimePlatform: z.object({ CpuArchitecture: z.string() }),
  Volumes: z.array(
    z.object({
      Name: z.string(),
      EFSVolumeConfiguration: z.object({
        TransitEncryption: z.string(),
        AuthorizationConfig: z.object({ AccessPointId: z.string(), IAM: z.string() }),
      }),
    }),
  ),
  ContainerDefinitions: z.tuple([
    z.object({
      Name: z.string(),
      StopTimeout: z.number(),
      ReadonlyRootFilesystem: z.boolean().optional(),
      HealthCheck: z
        .object({ Command: z.tuple([z.literal('CMD')]).rest(z.string()), StartPeriod: z.number() })
        .optional(),
      PortMappings: z.array(z.object({ ContainerPort: z.number(), Protocol: z.string() })),
    }),
  ]),
});

describe.each(['dev', 'prod'])('nodes: stage %s', (stage) => {
  const system = synthesized(stage);
  const { resources } = stackOf(system, 'nodes');
  const services = ofType(resources, 'AWS::ECS::Service').map((resource) => ({
    ...resource,
    settings: serviceSchema.parse(resource.Properties),
  }));
  const tasks = new Map(
    ofType(resources, 'AWS::ECS::TaskDefinition').map(({ path, Properties }) => [
      path,
      taskSchema.parse(Properties),
    ]),
  );

  test('one service for each node and one for FTP; never two tasks of one identity', () => {
    expect(services.map(({ settings }) => settings.ServiceName)).toEqual([...nodeIds, 'ftp']);
    for (const { settings } of services)
      expect(settings).toMatchObject({
        DesiredCount: 1,
        AvailabilityZoneRebalancing: 'DISABLED',
        LaunchType: 'FARGATE',
        EnableExecuteCommand: false,
        DeploymentConfiguration: {
          MinimumHealthyPercent: 0,
          MaximumPercent: 100,
          DeploymentCircuitBreaker: { Enable: true, Rollback: true },
        },
      });
  });

  test('with `nodesStopped` no node runs, and each has its task definition, with the secret of the database that was restored', () => {
    const databaseSecretArn =
      'arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-restored-abcdef';
    const stopped = stackOf(
      synthesizeWith('dev', { nodesStopped: true, databaseSecretArn }),
      'nodes',
    ).resources;
    expect(
      ofType(stopped, 'AWS::ECS::Service').map(({ Properties }) => {
        const { ServiceName, DesiredCount } = serviceSchema.parse(Properties);
        return [ServiceName, DesiredCount];
      }),
    ).toEqual([...nodeIds.map((id) => [id, 0]), ['ftp', 1]]);
    const definitions = ofType(stopped, 'AWS::ECS::TaskDefinition').map(({ Properties }) =>
      JSON.stringify(Properties),
    );
    expect(
      definitions.filter((text) => text.includes(`secretsmanager:${databaseSecretArn}#password`)),
    ).toHaveLength(3);
  });

  test('each node has a zone of its own', () => {
    const subnets = services
      .slice(0, nodeIds.length)
      .map(({ settings }) => settings.NetworkConfiguration.AwsvpcConfiguration.Subnets);
    const zones = new Map(
      ofType(system.resources, 'AWS::EC2::Subnet').map(({ path, Properties }) => [
        path,
        Properties['AvailabilityZone'],
      ]),
    );
    expect(subnets.map((of) => of.length)).toEqual([1, 1, 1]);
    expect(new Set(subnets.flat().map((path) => zones.get(path)))).toEqual(
      new Set(['a', 'b', 'c'].map((zone) => `${region}${zone}`)),
    );
  });

  test('the load balancer closes a connection at rest before a node does, and no stream', () => {
    const [balancer] = ofType(resources, 'AWS::ElasticLoadBalancingV2::LoadBalancer');
    const attributes = balancer?.Properties['LoadBalancerAttributes'] as { Key: string; Value: string }[];
    const idleMs =
      1_000 * Number(attributes.find(({ Key }) => Key === 'idle_timeout.timeout_seconds')?.Value);
    const app = fastify();
    expect(idleMs).toBeLessThan(app.server.keepAliveTimeout);
    expect(idleMs).toBeGreaterThan(2 * keepAliveEveryMs);
  });

  test('nothing that votes is scaled by a machine', () => {
    expect(system.resources.filter(({ Type }) => Type.startsWith('AWS::ApplicationAutoScaling'))).toEqual([]);
  });

  test('a deploy goes node by node: each service waits until the one before it is steady', () => {
    for (const [index, { dependsOn }] of services.slice(0, nodeIds.length).entries())
      expect(dependsOn.filter((path) => /^Service-node-\d+\/Service$/.test(path))).toEqual(
        index === 0 ? [] : [`Service-${nodeIds[index - 1]}/Service`],
      );
  });

  test('a node has ports, disk and time to hand over; its check asks whether it lives and never whether it leads', () => {
    for (const nodeId of nodeIds) {
      const task = tasks.get(`Task-${nodeId}`);
      expect(task?.RuntimePlatform.CpuArchitecture).toBe('ARM64');
      expect(task?.Volumes.map(({ EFSVolumeConfiguration: volume }) => volume)).toEqual([
        {
          TransitEncryption: 'ENABLED',
          AuthorizationConfig: { AccessPointId: `Files/Point-${nodeId}`, IAM: 'ENABLED' },
        },
      ]);
      const container = task?.ContainerDefinitions[0];
      // Handing over and draining takes 9 s (nodes/main.ts); Fargate gives 120 s at most.
      expect(container?.StopTimeout).toBeGreaterThanOrEqual(15);
      expect(container?.StopTimeout).toBeLessThanOrEqual(120);
      expect(container?.ReadonlyRootFilesystem).toBe(true);
      expect(container?.PortMappings).toEqual([
        { ContainerPort: 8080, Protocol: 'tcp' },
        { ContainerPort: 7443, Protocol: 'tcp' },
        { ContainerPort: 7400, Protocol: 'udp' },
        { ContainerPort: 7400, Protocol: 'tcp' },
      ]);
    }
    const paths = ofType(resources, 'AWS::ElasticLoadBalancingV2::TargetGroup')
      .filter(({ Properties }) => Properties['TargetType'] === 'ip')
      .map(({ Properties }) => Properties['HealthCheckPath']);
    expect(paths).toEqual(['/health', '/health', '/health', '/health']);
  });

  test('neither ECS nor the load balancer ends a node while it migrates the schema', () => {
    for (const { settings } of services.slice(0, nodeIds.length))
      expect((settings.HealthCheckGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThan(migrateWithinMs);
    for (const nodeId of nodeIds)
      expect(
        (tasks.get(`Task-${nodeId}`)?.ContainerDefinitions[0].HealthCheck?.StartPeriod ?? 0) * 1_000,
      ).toBeGreaterThan(migrateWithinMs);
  });

  test.each([
    ['200', true],
    ['503', false],
    ['nothing', false],
  ] as const)(
    'the check of a node that answers %s starts no Node, and passes: %s',
    async (answer, passes) => {
      const asked: string[] = [];
      const node = createServer((request, response) => {
        asked.push(`${request.method} ${request.url}`);
        if (answer !== 'nothing') response.writeHead(Number(answer)).end('{}');
      });
      node.listen(0, '127.0.0.1');
      await once(node, 'listening');
      const [, program = '', ...args] =
        tasks.get('Task-node-1')?.ContainerDefinitions[0].HealthCheck?.Command ?? [];
      expect(program).toBe('bash');
      const check = spawn(
        program,
        args.map((arg) => arg.replace('127.0.0.1/8080', `127.0.0.1/${(node.address() as AddressInfo).port}`)),
      );
      const [code] = (await once(check, 'exit')) as [number];
      expect(code === 0).toBe(passes);
      expect(asked).toEqual(['GET /health']);
      node.closeAllConnections();
      node.close();
    },
  );

  test('that a name has no address is forgotten as fast as its address: a task that was replaced is found', () => {
    const [names] = ofType(resources, 'AWS::ServiceDiscovery::PrivateDnsNamespace');
    expect(names?.Properties['Properties']).toEqual({ DnsProperties: { SOA: { TTL: 5 } } });
  });

  test('a node is found under its name within seconds of a move', () => {
    const names = ofType(resources, 'AWS::ServiceDiscovery::Service').map(({ Properties }) => ({
      name: Properties['Name'],
      records: (Properties['DnsConfig'] as { DnsRecords: unknown }).DnsRecords,
    }));
    expect(names).toEqual([...nodeIds, 'ftp'].map((name) => ({ name, records: [{ TTL: 5, Type: 'A' }] })));
  });

  test("each access point is a folder of its own, of the image's user", () => {
    const points = ofType(stackOf(system, 'data').resources, 'AWS::EFS::AccessPoint').map(
      ({ Properties }) => Properties,
    );
    const folders = points.map(({ RootDirectory }) => (RootDirectory as { Path: string }).Path);
    expect(folders).toEqual([...nodeIds.map((nodeId) => `/nodes/${nodeId}`), '/ftp']);
    for (const { PosixUser } of points) expect(PosixUser).toEqual({ Uid: '1000', Gid: '1000' });
  });

  test('a node may mount its own folder and read its own secrets, no other node’s', () => {
    for (const nodeId of nodeIds) {
      const policy = ofType(resources, 'AWS::IAM::Policy').find(
        ({ path }) => path === `Task-${nodeId}/TaskRole/DefaultPolicy`,
      );
      const text = JSON.stringify(policy?.Properties);
      expect(text).toContain(`access-point/Files/Point-${nodeId}`);
      expect(text).toContain(
        `arn:aws:secretsmanager:${region}:${account}:secret:baton/${stage}/tls/${nodeId}-`,
      );
      for (const other of nodeIds.filter((id) => id !== nodeId)) expect(text).not.toContain(other);
      expect(text).not.toMatch(/authority/);
    }
  });

  test('the load balancer leads to all nodes, by name to each, and to the front', () => {
    const rules = ofType(resources, 'AWS::ElasticLoadBalancingV2::ListenerRule').map(({ Properties }) =>
      JSON.stringify([Properties['Conditions'], Properties['Actions']]),
    );
    const domain = `${stage === 'dev' ? 'dev.' : ''}baton.example.com`;
    expect(rules).toHaveLength(nodeIds.length + 1);
    for (const [index, nodeId] of nodeIds.entries()) {
      expect(rules[index]).toContain(`"${nodeId}.${domain}"`);
      expect(rules[index]).toContain(`"Only-${nodeId}"`);
    }
    expect(rules.at(-1)).toContain(`"front.${domain}"`);
    expect(rules.at(-1)).toContain('"Front"');
    const [front] = ofType(resources, 'AWS::ElasticLoadBalancingV2::TargetGroup').filter(
      ({ path }) => path === 'Front',
    );
    expect(front?.Properties).toMatchObject({
      // The function lets a group of this name call it, and no other.
      Name: `baton-${stage}-front`,
      TargetType: 'lambda',
      Targets: [{ Id: `arn:aws:lambda:${region}:${account}:function:baton-${stage}-redirect` }],
    });
  });
});
