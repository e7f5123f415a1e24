// The whole system of a laptop, described: every service with its ports, certificates, secrets and environment, built
// from contracts/topology.ts and contracts/environment.ts as cdk/ builds it for AWS. Starts nothing.
import { splitAddress, type EnvironmentInput, type Member } from '../contracts/environment.ts';
import { functionEnvironments } from '../contracts/function-environments.ts';
import {
  directoryTable,
  functionNames,
  functionsThatCallNodes,
  nodes,
  sqsQueues,
} from '../contracts/topology.ts';
import type { BrokerAddress } from '../runtime/amqps.ts';
import { controlUrl } from './launcher/control.ts';
import type { LinkPlan } from './faults/link.ts';
import { planLinks } from './faults/plan-links.ts';
import { describeBroker, type BrokerChoice } from './services/describe-broker.ts';
import { openAuthority, type Authority } from './instance/authority.ts';
import { openCredentials, type LocalCredentials } from './instance/credentials.ts';
import type { Layout } from './instance/instance.ts';
import { nodeName } from './instance/membership.ts';
import { Ports, usualPorts, type MovedPort } from './instance/ports.ts';
import { accountId, credentials as awsCredentials, region } from './local-aws.ts';
import { ownService } from './services/own-service.ts';
import type { Service } from './services/service.ts';
import { inboxService } from './services/inbox/service.ts';
import { postgresService, postgresUrl } from './services/postgres/postgres.ts';

/** Milliseconds. */
export interface Timeouts {
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
}
export interface StackSettings {
  readonly layout: Layout;
  readonly nodes: number;
  /** The generation of the membership: see instance/membership.ts. */
  readonly generation: number;
  readonly isolated: boolean;
  readonly demo: boolean;
  readonly broker: BrokerChoice;
  /** Number of partitions of the queue `items`. */
  readonly itemPartitions: number;
  readonly timeouts: Timeouts;
  /** Nodes reach each other through links that `baton chaos` can break. */
  readonly links: boolean;
  /** SQS and DynamoDB served elsewhere: no emulator of ours is started for them. */
  readonly awsEndpoint: string | undefined;
  /** Lambda served elsewhere. */
  readonly lambdaEndpoint: string | undefined;
  /** Where the nodes tell traces to, in the words of contracts/environment.ts; empty: nowhere. */
  readonly collector: CollectorSettings;
}
export type CollectorSettings = Pick<
  EnvironmentInput<'node'>,
  'OTEL_EXPORTER_OTLP_ENDPOINT' | 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT' | 'OTEL_EXPORTER_OTLP_HEADERS_URI'
>;
export interface Stack {
  readonly cluster: string;
  readonly members: readonly Member[];
  readonly links: readonly LinkPlan[];
  /** The database, the nodes and the broker: started side by side, at once. */
  readonly first: readonly Service[];
  /** Started when database and nodes are up, so that on two cores the election does not wait behind them. */
  readonly next: readonly Service[];
  /** Started when all are up and the queues exist. */
  readonly last: readonly Service[];
  readonly credentials: LocalCredentials;
  readonly authority: Authority;
  readonly broker: BrokerAddress & { readonly about: string };
  readonly databaseUrl: string;
  readonly addresses: StackAddresses;
  readonly controlPort: number;
  readonly movedPorts: readonly MovedPort[];
}
export interface StackAddresses {
  /** Where the `redirect` function answers; undefined when Lambda is elsewhere. */
  readonly front: string | undefined;
  readonly inbox: string;
  readonly smtp: string;
  readonly ftp: string;
  readonly demoShop: string | undefined;
  readonly lambda: string;
  readonly sqs: string;
  readonly dynamodb: string;
  readonly broker: string;
  readonly database: string;
}

const host = '127.0.0.1';
const cluster = 'local';
const mailFrom = 'Baton <baton@localhost>';

/** @throws Error with what to do: no RabbitMQ when one is demanded, no port, a count of nodes that cannot elect. */
export async function describeStack(settings: StackSettings): Promise<Stack> {
  const { layout } = settings;
  const ports = new Ports(settings);
  const port = (name: keyof typeof usualPorts, step = 0) => ports.take(name, usualPorts[name] + step);
  const members: Member[] = [];
  for (let index = 0; index < settings.nodes; index++)
    members.push({
      id: nodeName(index),
      udp: `${host}:${await port('udp', index)}`,
      internalUrl: `https://${host}:${await port('internal', index)}`,
      publicUrl: `http://${host}:${await port('public', index)}`,
      voter: true,
    });
  let linkPorts = 0;
  const planned = await planLinks(settings.links ? members : [], () => port('link', linkPorts++));
  const membersSeenBy = (id: string) => (settings.links ? planned.membersSeenBy(id) : members);
  const credentials = await openCredentials(layout.secrets);
  const servers = ['database', 'broker', 'ftp', 'smtp', 'emulator', 'event-sources'];
  const nodeIds = members.map(({ id }) => id);
  const authority = await openAuthority(layout.tls, [...servers, ...functionsThatCallNodes, ...nodeIds]);

  const database = await port('database');
  const databaseAddress = `${host}:${database}`;
  const databaseUrl = postgresUrl({ port: database });
  const broker = await describeBroker(settings, { port, credentials, authority });
  const sqsPort = await port('sqs');
  const dynamodbPort = await port('dynamodb');
  const sqs = settings.awsEndpoint ?? `http://${host}:${sqsPort}`;
  const dynamodb = settings.awsEndpoint ?? `http://${host}:${dynamodbPort}`;
  const lambdaPort = await port('lambda');
  const frontPort = await port('front');
  const lambda = settings.lambdaEndpoint ?? `http://${host}:${lambdaPort}`;
  const ftp = `${host}:${await port('ftp')}`;
  const smtpPort = await port('smtp');
  const controlPort = await port('control');
  const inboxPort = await port('inbox');
  const shopPort = await port('demoShop');
  const demoShop = settings.demo ? `http://${host}:${shopPort}` : undefined;

  const aws = { AWS_REGION: region, AWS_ENDPOINT_URL_SQS: sqs, AWS_ENDPOINT_URL_DYNAMODB: dynamodb };
  const nodeEnvironment = (member: Member): EnvironmentInput<'node'> => ({
    BATON_NODE_ID: member.id,
    BATON_CLUSTER: cluster,
    BATON_MEMBERS: JSON.stringify(membersSeenBy(member.id)),
    BATON_GENERATION: String(settings.generation),
    BATON_DATA: layout.data(member.id),
    BATON_BIND: host,
    BATON_PUBLIC_PORT: new URL(member.publicUrl).port,
    BATON_INTERNAL_PORT: new URL(member.internalUrl).port,
    BATON_UDP_PORT: String(splitAddress(member.udp).port),
    BATON_HEARTBEAT_MS: String(settings.timeouts.heartbeatMs),
    BATON_ELECTION_TIMEOUT_MS: String(settings.timeouts.electionTimeoutMs),
    BATON_DATABASE_URL: databaseUrl,
    BATON_DATABASE_PASSWORD_URI: credentials.database.uri,
    BATON_CLUSTER_KEYS_URI: credentials.clusterKeys.uri,
    BATON_TOKENS_URI: credentials.tokens.uri,
    BATON_FAULTS_URL: controlUrl(controlPort),
    BATON_FAULTS_TOKEN_URI: credentials.faultsToken.uri,
    BATON_ANNOUNCE_QUEUE_URL: `${sqs}/${accountId}/${sqsQueues.announcements.name}`,
    BATON_MAIL_FROM: mailFrom,
    ...settings.collector,
    ...aws,
    BATON_BROKER_URL: broker.url,
    BATON_BROKER_CREDENTIALS_URI: credentials.broker.uri,
    BATON_ITEM_PARTITIONS: String(settings.itemPartitions),
    BATON_TLS_CA_URI: authority.caUri,
    BATON_TLS_CERT_URI: authority.leaf(member.id).certUri,
    BATON_TLS_KEY_URI: authority.leaf(member.id).keyUri,
  });
  const environmentsOfFunctions = functionEnvironments(
    {
      cluster,
      directoryTable: directoryTable.name,
      nodeUrls: members.map(({ internalUrl }) => internalUrl),
      tls: (name) => ({
        ca: authority.caUri,
        cert: authority.leaf(name).certUri,
        key: authority.leaf(name).keyUri,
      }),
      broker: { url: broker.url, credentials: credentials.broker.uri },
      ftp: { address: ftp, credentials: credentials.ftp.uri, isOurs: true },
      smtp: { address: `${host}:${smtpPort}`, credentials: credentials.smtp.uri, isOurs: true },
      itemPartitions: settings.itemPartitions,
      ...(demoShop === undefined ? {} : { scrapePrivateHosts: [new URL(demoShop).host] }),
    },
    aws,
  );

  const nodeServices = members.map((member) =>
    ownService({
      name: member.id,
      kind: 'node',
      address: member.publicUrl,
      about: 'web node',
      module: new URL('../nodes/main.ts', import.meta.url),
      flags: nodes.flags,
      // Variables left out have defaults in the contract; the SDK insists on some key even where nobody checks it.
      env: {
        ...(nodeEnvironment(member) as Record<string, string>),
        AWS_ACCESS_KEY_ID: awsCredentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: awsCredentials.secretAccessKey,
      },
      startWithinMs: 60_000, // It waits for the database, which may have to be made first.
      stopWithinMs: 3_500,
    }),
  );
  const awsService = ownService({
    name: 'aws',
    kind: 'aws',
    address: `${sqs} ${dynamodb}`,
    about: 'SQS and DynamoDB (fauxqs, dynalite)',
    module: new URL('services/aws/main.ts', import.meta.url),
    settings: { host, sqsPort, dynamodbPort, region },
  });
  const lambdaService = ownService({
    name: 'lambda',
    kind: 'lambda',
    address: lambda,
    about: `Lambda host, ${functionNames.length} functions`,
    module: new URL('lambda/main.ts', import.meta.url),
    settings: {
      host,
      port: lambdaPort,
      frontPort,
      logDir: layout.logs,
      workFolder: layout.data('lambda'),
      environments: environmentsOfFunctions,
    },
    startWithinMs: 60_000, // It bundles the functions.
  });
  const ftpService = ownService({
    name: 'ftp',
    kind: 'ftp',
    address: `ftp://${ftp}`,
    about: 'FTP server, TLS required',
    module: new URL('services/ftp-server/main.ts', import.meta.url),
    settings: {
      host,
      port: splitAddress(ftp).port,
      root: layout.data('ftp'),
      tls: { certFile: authority.leaf('ftp').certFile, keyFile: authority.leaf('ftp').keyFile },
      credentialsUri: credentials.ftp.uri,
    },
  });
  const shopService = ownService({
    name: 'demo-shop',
    kind: 'demo-shop',
    address: demoShop ?? '',
    about: 'a shop to scrape',
    module: new URL('services/demo-shop/main.ts', import.meta.url),
    settings: { host, port: shopPort },
  });
  const eventSources = ownService({
    name: 'event-sources',
    kind: 'event-sources',
    address: lambda,
    about: 'RabbitMQ, SQS and schedule to Lambda',
    module: new URL('event-sources/main.ts', import.meta.url),
    settings: {
      invokeUrl: lambda,
      sqsUrl: sqs,
      region,
      broker: { url: broker.url, credentialsUri: credentials.broker.uri, caUri: authority.caUri },
      itemPartitions: settings.itemPartitions,
    },
  });

  return {
    cluster,
    members,
    links: planned.links,
    first: [
      postgresService({
        folder: layout.data('postgres'),
        port: database,
        certFile: authority.leaf('database').certFile,
        keyFile: authority.leaf('database').keyFile,
        caFile: authority.caFile,
        password: credentials.database.password,
      }),
      ...nodeServices,
      broker.service,
    ],
    next: [
      ...(settings.awsEndpoint === undefined ? [awsService] : []),
      ftpService,
      inboxService({
        host,
        smtpPort,
        pagePort: inboxPort,
        certFile: authority.leaf('smtp').certFile,
        keyFile: authority.leaf('smtp').keyFile,
        credentialsFile: credentials.smtp.file,
        tokenFile: credentials.inboxToken.file,
        folder: layout.data('inbox'),
      }),
      ...(settings.demo ? [shopService] : []),
      ...(settings.lambdaEndpoint === undefined ? [lambdaService] : []),
    ],
    last: [eventSources],
    credentials,
    authority,
    broker,
    databaseUrl,
    addresses: {
      front: settings.lambdaEndpoint === undefined ? `http://${host}:${frontPort}` : undefined,
      inbox: `http://${host}:${inboxPort}`,
      smtp: `${host}:${smtpPort}`,
      ftp: `ftp://${ftp}`,
      demoShop,
      lambda,
      sqs,
      dynamodb,
      broker: broker.url,
      database: databaseAddress,
    },
    controlPort,
    movedPorts: ports.moved,
  };
}
