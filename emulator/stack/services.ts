// The processes of a system, in the order in which they start.
import type { Member } from '../../contracts/environment.ts';
import { functionNames, nodes } from '../../contracts/topology.ts';
import { credentials as awsCredentials, region } from '../local-aws.ts';
import { inboxService } from '../services/inbox/service.ts';
import { ownService } from '../services/own-service.ts';
import { postgresService } from '../services/postgres/postgres.ts';
import type { Service } from '../services/service.ts';
import { environmentsOfFunctions, nodeEnvironment } from './environments.ts';
import type { Parts } from './parts.ts';
import { host } from './places.ts';

export interface StartOrder {
  /** The database, the nodes and the broker: started side by side, at once. */
  readonly first: readonly Service[];
  /** Started when database and nodes are up, so that on two cores the election does not wait behind them. */
  readonly next: readonly Service[];
  /** Started when all are up and the queues exist. */
  readonly last: readonly Service[];
}

export function describeServices(parts: Parts): StartOrder {
  const { settings, places, broker } = parts;
  return {
    first: [database(parts), ...places.members.map((member) => node(member, parts)), broker.service],
    next: [
      ...(settings.awsEndpoint === undefined ? [aws(parts)] : []),
      ftp(parts),
      inbox(parts),
      ...(places.demoShop === undefined ? [] : [demoShop(parts)]),
      ...(settings.lambdaEndpoint === undefined ? [lambda(parts)] : []),
    ],
    last: [eventSources(parts)],
  };
}

function database({ settings, places, credentials, authority }: Parts): Service {
  const { certFile, keyFile } = authority.leaf('database');
  return postgresService({
    folder: settings.layout.data('postgres'),
    port: places.ports.database,
    certFile,
    keyFile,
    caFile: authority.caFile,
    password: credentials.database.password,
  });
}

function node(member: Member, parts: Parts): Service {
  return ownService({
    name: member.id,
    kind: 'node',
    address: member.publicUrl,
    about: 'web node',
    module: new URL('../../nodes/main.ts', import.meta.url),
    flags: nodes.flags,
    // Variables left out have defaults in the contract; the SDK insists on some key even where nobody checks it.
    env: {
      ...(nodeEnvironment(member, parts) as Record<string, string>),
      AWS_ACCESS_KEY_ID: awsCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: awsCredentials.secretAccessKey,
    },
    startWithinMs: 60_000, // It waits for the database, which may have to be made first.
    stopWithinMs: 3_500,
  });
}

function aws({ places: { sqs, dynamodb, ports } }: Parts): Service {
  return ownService({
    name: 'aws',
    kind: 'aws',
    address: `${sqs} ${dynamodb}`,
    about: 'SQS and DynamoDB (fauxqs, dynalite)',
    module: new URL('../services/aws/main.ts', import.meta.url),
    settings: { host, sqsPort: ports.sqs, dynamodbPort: ports.dynamodb, region },
  });
}

function ftp({ settings, places, credentials, authority }: Parts): Service {
  const { certFile, keyFile } = authority.leaf('ftp');
  return ownService({
    name: 'ftp',
    kind: 'ftp',
    address: `ftp://${host}:${places.ports.ftp}`,
    about: 'FTP server, TLS required',
    module: new URL('../services/ftp-server/main.ts', import.meta.url),
    settings: {
      host,
      port: places.ports.ftp,
      root: settings.layout.data('ftp'),
      tls: { certFile, keyFile },
      credentialsUri: credentials.ftp.uri,
    },
  });
}

function inbox({ settings, places, credentials, authority }: Parts): Service {
  const { certFile, keyFile } = authority.leaf('smtp');
  return inboxService({
    host,
    smtpPort: places.ports.smtp,
    pagePort: places.ports.inbox,
    certFile,
    keyFile,
    credentialsFile: credentials.smtp.file,
    tokenFile: credentials.inboxToken.file,
    folder: settings.layout.data('inbox'),
  });
}

function demoShop({ places }: Parts): Service {
  return ownService({
    name: 'demo-shop',
    kind: 'demo-shop',
    address: places.demoShop ?? '',
    about: 'a shop to scrape',
    module: new URL('../services/demo-shop/main.ts', import.meta.url),
    settings: { host, port: places.ports.demoShop },
  });
}

function lambda(parts: Parts): Service {
  const { settings, places } = parts;
  return ownService({
    name: 'lambda',
    kind: 'lambda',
    address: places.lambda,
    about: `Lambda host, ${functionNames.length} functions`,
    module: new URL('../lambda/main.ts', import.meta.url),
    settings: {
      host,
      port: places.ports.lambda,
      frontPort: places.ports.front,
      logDir: settings.layout.logs,
      workFolder: settings.layout.data('lambda'),
      environments: environmentsOfFunctions(parts),
    },
    startWithinMs: 60_000, // It bundles the functions.
  });
}

function eventSources({ settings, places, credentials, authority, broker }: Parts): Service {
  return ownService({
    name: 'event-sources',
    kind: 'event-sources',
    address: places.lambda,
    about: 'RabbitMQ, SQS and schedule to Lambda',
    module: new URL('../event-sources/main.ts', import.meta.url),
    settings: {
      invokeUrl: places.lambda,
      sqsUrl: places.sqs,
      region,
      broker: { url: broker.url, credentialsUri: credentials.broker.uri, caUri: authority.caUri },
      itemPartitions: settings.itemPartitions,
    },
  });
}
