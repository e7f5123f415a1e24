// Security groups are the only paths. Every one of them is listed here: a new path has to be written down twice.
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ofType, stackOf, synthesized, type Resource } from './synthesize.ts';

const rule = {
  IpProtocol: z.string(),
  FromPort: z.number().optional(),
  ToPort: z.number().optional(),
  Description: z.string(),
};
const groupSchema = z.object({
  SecurityGroupIngress: z.array(z.object({ ...rule, CidrIp: z.string() })).default([]),
});
const ingressSchema = z.object({ ...rule, GroupId: z.string(), SourceSecurityGroupId: z.string() });

/** `from -> to protocol port: why`; from is a group or a network. */
function paths(resources: readonly Resource[]): string[] {
  const name = (reference: string) => reference.replace(/^Group-/, '').replace(/\.GroupId$/, '');
  const line = (from: string, to: string, found: z.infer<z.ZodObject<typeof rule>>) => {
    const port = found.FromPort === found.ToPort ? found.FromPort : `${found.FromPort}-${found.ToPort}`;
    return `${from} -> ${to} ${found.IpProtocol} ${port}: ${found.Description}`;
  };
  return [
    ...ofType(resources, 'AWS::EC2::SecurityGroup').flatMap(({ path, Properties }) =>
      groupSchema
        .parse(Properties)
        .SecurityGroupIngress.map((found) => line(found.CidrIp, name(path), found)),
    ),
    ...ofType(resources, 'AWS::EC2::SecurityGroupIngress').map(({ Properties }) => {
      const found = ingressSchema.parse(Properties);
      return line(name(found.SourceSecurityGroupId), name(found.GroupId), found);
    }),
  ].toSorted();
}

describe.each(['dev', 'prod'])('network: stage %s', (stage) => {
  const system = synthesized(stage);
  const { resources } = stackOf(system, 'network');

  test('these paths and no others', () => {
    expect(paths(system.resources)).toEqual(
      [
        '203.0.113.0/24 -> loadBalancer tcp 443: API and page',
        '203.0.113.0/24 -> loadBalancer tcp 80: to HTTPS',
        'loadBalancer -> nodes tcp 8080: public listener',
        'nodes -> nodes udp 7400: votes and heartbeats',
        'nodes -> nodes tcp 7400: evidence of a dead leader',
        'nodes -> nodes tcp 7443: a write forwarded to the leader',
        'functions -> nodes tcp 7443: batches, files, claims',
        'nodes -> database tcp 5432: SQL',
        'nodes -> files tcp 2049: vote files',
        'nodes -> broker tcp 5671: mails and commands',
        'functions -> broker tcp 5671: items, dead letters, retries',
        'broker -> broker tcp 5671: event source mappings',
        'topology -> broker tcp 443: declares queues and users',
        'functions -> ftp tcp 21: FTP commands',
        'functions -> ftp tcp 40000-40099: FTP data',
        'ftp -> files tcp 2049: dropped files',
      ].toSorted(),
    );
  });

  test('a planted path is seen', () => {
    const planted: Resource = {
      ...(ofType(resources, 'AWS::EC2::SecurityGroup')[0] as Resource),
      Properties: {
        SecurityGroupIngress: [
          { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, CidrIp: '0.0.0.0/0', Description: 'planted' },
        ],
      },
    };
    expect(paths([...system.resources, planted])).toContain('0.0.0.0/0 -> loadBalancer tcp 22: planted');
  });

  test('three zones; database, files and broker have no way out, and no machine has a public address', () => {
    const subnets = ofType(resources, 'AWS::EC2::Subnet');
    expect(new Set(subnets.map(({ Properties }) => Properties['AvailabilityZone'])).size).toBe(3);
    for (const { Properties } of subnets) expect(Properties['MapPublicIpOnLaunch']).toBe(false);
    const routes = ofType(resources, 'AWS::EC2::Route').map(({ path }) => path);
    expect(routes.length).toBeGreaterThan(0);
    expect(routes.filter((path) => path.includes('dataSubnet'))).toEqual([]);
    for (const { Properties } of ofType(system.resources, 'AWS::RDS::DBSubnetGroup', 'AWS::EFS::MountTarget'))
      expect(JSON.stringify(Properties['SubnetIds'] ?? Properties['SubnetId'])).toMatch(/dataSubnet/);
    for (const { Properties } of ofType(system.resources, 'AWS::AmazonMQ::Broker'))
      expect(Properties['PubliclyAccessible']).toBe(false);
    for (const { Properties } of ofType(system.resources, 'AWS::ECS::Service'))
      expect(JSON.stringify(Properties['NetworkConfiguration'])).toContain('"AssignPublicIp":"DISABLED"');
  });

  test('what was refused is logged', () => {
    const [log] = ofType(resources, 'AWS::EC2::FlowLog');
    expect(log?.Properties['TrafficType']).toBe('REJECT');
  });
});
