// Security groups are the only paths. Every one of them is listed here: a new path has to be written down twice.
import { describe, expect, test } from 'vitest';
import { paths } from './paths.ts';
import { ofType, stackOf, synthesized, synthesizeWith, type Resource } from './synthesize.ts';

const lines = (resources: readonly Resource[]): string[] =>
  paths(resources)
    .map(({ from, to, protocol, port, why }) => `${from} -> ${to} ${protocol} ${port}: ${why}`)
    .toSorted();

describe.each(['dev', 'prod'])('network: stage %s', (stage) => {
  const system = synthesized(stage);
  const { resources } = stackOf(system, 'network');

  test('these paths and no others', () => {
    expect(lines(system.resources)).toEqual(
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
    expect(lines([...system.resources, planted])).toContain('0.0.0.0/0 -> loadBalancer tcp 22: planted');
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

describe('network: partners', () => {
  test('networks that a stage names reach the FTP server, on its two ranges of ports alone', () => {
    const before = new Set(lines(synthesized('dev').resources));
    const system = synthesizeWith('dev', { partners: ['10.20.0.0/16', '192.168.7.9/32'] });
    expect(lines(system.resources).filter((line) => !before.has(line))).toEqual([
      '10.20.0.0/16 -> ftp tcp 21: FTP of partners',
      '10.20.0.0/16 -> ftp tcp 40000-40099: FTP data of partners',
      '192.168.7.9/32 -> ftp tcp 21: FTP of partners',
      '192.168.7.9/32 -> ftp tcp 40000-40099: FTP data of partners',
    ]);
  });

  test.each([
    [{ partners: ['10.20.0.0'] }, /stage dev: partners\.0: /],
    [
      { partners: ['10.20.0.0/16'], ftpServer: false, ftpAddress: 'ftp.example.com:21' },
      /stage dev: partners: reach the FTP server of the stage, and it has none/,
    ],
    [{ ftpServer: false }, /stage dev: ftpAddress: is missing: without a server of its own/],
    [
      { ftpServer: true, ftpAddress: 'ftp.example.com:21' },
      /stage dev: ftpAddress: names another server, and the stage has its own/,
    ],
  ])('%j is refused by name', (settings, reason) => {
    expect(() => synthesizeWith('dev', settings)).toThrow(reason);
  });
});
