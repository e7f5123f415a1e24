// The whole system of a laptop, described: every service with its ports, certificates, secrets and environment, built
// from contracts/topology.ts and contracts/environment.ts as cdk/ builds it for AWS. Starts nothing.
import type { Member } from '../../contracts/environment.ts';
import { functionsThatCallNodes } from '../../contracts/topology.ts';
import type { LinkPlan } from '../faults/link.ts';
import { openAuthority, type Authority } from '../instance/authority.ts';
import { openCredentials, type LocalCredentials } from '../instance/credentials.ts';
import { Ports, type MovedPort } from '../instance/ports.ts';
import { describeBroker } from '../services/describe-broker.ts';
import { postgresUrl } from '../services/postgres/postgres.ts';
import { localCluster } from './environments.ts';
import type { Parts } from './parts.ts';
import { findPlaces, host, type Places } from './places.ts';
import { describeServices, type StartOrder } from './services.ts';
import type { StackSettings } from './settings.ts';

export interface Stack extends StartOrder {
  readonly cluster: string;
  readonly members: readonly Member[];
  readonly links: readonly LinkPlan[];
  readonly credentials: LocalCredentials;
  readonly authority: Authority;
  readonly broker: Parts['broker'];
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

const servers = ['database', 'broker', 'ftp', 'smtp', 'emulator', 'event-sources'];

/** @throws Error with what to do: no RabbitMQ when one is demanded, no port, a count of nodes that cannot elect. */
export async function describeStack(settings: StackSettings): Promise<Stack> {
  const ports = new Ports(settings);
  const places = await findPlaces(settings, ports);
  const { members, links } = places;
  const credentials = await openCredentials(settings.layout.secrets);
  const authority = await openAuthority(settings.layout.tls, [
    ...servers,
    ...functionsThatCallNodes,
    ...members.map(({ id }) => id),
  ]);
  const broker = await describeBroker(settings, { ports, credentials, authority });
  return {
    cluster: localCluster,
    members,
    links,
    ...describeServices({ settings, places, credentials, authority, broker }),
    credentials,
    authority,
    broker,
    databaseUrl: postgresUrl({ port: places.ports.database }),
    addresses: addressesOf(settings, places, broker.url),
    controlPort: places.ports.control,
    movedPorts: ports.moved,
  };
}

function addressesOf(settings: StackSettings, places: Places, broker: string): StackAddresses {
  const { ports, demoShop, lambda, sqs, dynamodb } = places;
  return {
    front: settings.lambdaEndpoint === undefined ? `http://${host}:${ports.front}` : undefined,
    inbox: `http://${host}:${ports.inbox}`,
    smtp: `${host}:${ports.smtp}`,
    ftp: `ftp://${host}:${ports.ftp}`,
    demoShop,
    lambda,
    sqs,
    dynamodb,
    broker,
    database: `${host}:${ports.database}`,
  };
}
