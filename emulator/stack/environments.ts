// What nodes and functions are told: the variables of contracts/environment.ts, with the addresses and secrets of a laptop.
import { splitAddress, type EnvironmentInput, type Member } from '../../contracts/environment.ts';
import { functionEnvironments } from '../../contracts/function-environments.ts';
import { directoryTable, sqsQueues } from '../../contracts/topology.ts';
import { controlUrl } from '../launcher/control.ts';
import { accountId, region } from '../local-aws.ts';
import { postgresUrl } from '../services/postgres/postgres.ts';
import type { Parts } from './parts.ts';
import { host } from './places.ts';

export const localCluster = 'local';
const mailFrom = 'Baton <baton@localhost>';

export function nodeEnvironment(
  member: Member,
  { settings, places, credentials, authority, broker }: Parts,
): EnvironmentInput<'node'> {
  return {
    BATON_NODE_ID: member.id,
    BATON_CLUSTER: localCluster,
    BATON_MEMBERS: JSON.stringify(places.membersSeenBy(member.id)),
    BATON_GENERATION: String(settings.generation),
    BATON_DATA: settings.layout.data(member.id),
    BATON_BIND: host,
    BATON_PUBLIC_PORT: new URL(member.publicUrl).port,
    BATON_INTERNAL_PORT: new URL(member.internalUrl).port,
    BATON_UDP_PORT: String(splitAddress(member.udp).port),
    BATON_HEARTBEAT_MS: String(settings.timeouts.heartbeatMs),
    BATON_ELECTION_TIMEOUT_MS: String(settings.timeouts.electionTimeoutMs),
    BATON_DATABASE_URL: postgresUrl({ port: places.ports.database }),
    BATON_DATABASE_PASSWORD_URI: credentials.database.uri,
    BATON_CLUSTER_KEYS_URI: credentials.clusterKeys.uri,
    BATON_TOKENS_URI: credentials.tokens.uri,
    BATON_FAULTS_URL: controlUrl(places.ports.control),
    BATON_FAULTS_TOKEN_URI: credentials.faultsToken.uri,
    BATON_ANNOUNCE_QUEUE_URL: `${places.sqs}/${accountId}/${sqsQueues.announcements.name}`,
    BATON_MAIL_FROM: mailFrom,
    ...settings.collector,
    ...awsEnvironment(places),
    BATON_BROKER_URL: broker.url,
    BATON_BROKER_CREDENTIALS_URI: credentials.broker.uri,
    BATON_ITEM_PARTITIONS: String(settings.itemPartitions),
    BATON_TLS_CA_URI: authority.caUri,
    BATON_TLS_CERT_URI: authority.leaf(member.id).certUri,
    BATON_TLS_KEY_URI: authority.leaf(member.id).keyUri,
  };
}

export function environmentsOfFunctions({ settings, places, credentials, authority, broker }: Parts) {
  return functionEnvironments(
    {
      cluster: localCluster,
      directoryTable: directoryTable.name,
      nodeUrls: places.members.map(({ internalUrl }) => internalUrl),
      tls: (name) => ({
        ca: authority.caUri,
        cert: authority.leaf(name).certUri,
        key: authority.leaf(name).keyUri,
      }),
      broker: { url: broker.url, credentials: credentials.broker.uri },
      ftp: { address: `${host}:${places.ports.ftp}`, credentials: credentials.ftp.uri, isOurs: true },
      smtp: { address: `${host}:${places.ports.smtp}`, credentials: credentials.smtp.uri, isOurs: true },
      itemPartitions: settings.itemPartitions,
      scrapePrivateHosts: [
        ...(places.demoShop === undefined ? [] : [new URL(places.demoShop).host]),
        ...settings.privateShops,
      ],
      scrapeContact: settings.contact,
    },
    awsEnvironment(places),
  );
}

function awsEnvironment({ sqs, dynamodb }: Parts['places']) {
  return { AWS_REGION: region, AWS_ENDPOINT_URL_SQS: sqs, AWS_ENDPOINT_URL_DYNAMODB: dynamodb };
}
