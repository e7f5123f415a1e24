// The variables of each node, as contracts/environment.ts asks for them. AWS_REGION is set by ECS.
import type { EnvironmentInput } from '../contracts/environment.ts';
import { nodes } from '../contracts/topology.ts';
import { members } from './addresses.ts';
import { databaseName, type Database } from './data-stack.ts';
import type { SetByRuntime } from './function-environment.ts';
import type { Names } from './names.ts';
import { ports } from './ports.ts';
import type { AwsStage } from './stage.ts';

export const dataFolder = '/data';

export function nodeEnvironment(
  nodeId: string,
  {
    stage,
    names,
    database,
    brokerUrl,
    announceQueueUrl,
  }: {
    stage: AwsStage;
    names: Names;
    database: Pick<Database, 'host'> & { readonly secret: { readonly secretArn: string } };
    brokerUrl: string;
    announceQueueUrl: string;
  },
): Omit<EnvironmentInput<'node'>, SetByRuntime> & Record<string, string> {
  return {
    BATON_NODE_ID: nodeId,
    BATON_CLUSTER: names.cluster,
    BATON_MEMBERS: JSON.stringify(members(stage)),
    BATON_GENERATION: '1',
    BATON_DATA: dataFolder,
    BATON_BIND: '0.0.0.0',
    // Only the load balancer, which ends TLS, gets to the public listener: network-stack.ts.
    BATON_PUBLIC_BEHIND_PROXY: 'true',
    BATON_PUBLIC_HOSTS: stage.domain.name,
    BATON_PUBLIC_PORT: String(ports.web),
    BATON_INTERNAL_PORT: String(ports.internal),
    BATON_UDP_PORT: String(ports.raft),
    BATON_HEARTBEAT_MS: String(nodes.heartbeatMs),
    BATON_ELECTION_TIMEOUT_MS: String(nodes.electionTimeoutMs),
    BATON_DATABASE_URL: `postgres://baton@${database.host}:${ports.database}/${databaseName}`,
    BATON_DATABASE_PASSWORD_URI: `secretsmanager:${database.secret.secretArn}#password`,
    BATON_DATABASE_CA_URI: names.secretUri('trust', 'database'),
    BATON_CLUSTER_KEYS_URI: names.secretUri('cluster-keys'),
    BATON_TOKENS_URI: names.secretUri('tokens'),
    BATON_ANNOUNCE_QUEUE_URL: announceQueueUrl,
    BATON_MAIL_FROM: stage.mailFrom,
    BATON_PAGE_URL: `https://${stage.domain.name}/`,
    ...collectorEnvironment(stage, names),
    BATON_BROKER_URL: brokerUrl,
    BATON_BROKER_CREDENTIALS_URI: names.secretUri('broker/nodes'),
    BATON_BROKER_CA_URI: names.secretUri('trust', 'broker'),
    BATON_ITEM_PARTITIONS: String(stage.itemPartitions),
    BATON_TLS_CA_URI: names.secretUri(`tls/${nodeId}`, 'ca'),
    BATON_TLS_CERT_URI: names.secretUri(`tls/${nodeId}`, 'cert'),
    BATON_TLS_KEY_URI: names.secretUri(`tls/${nodeId}`, 'key'),
  };
}

function collectorEnvironment({ collector }: AwsStage, names: Names): Record<string, string> {
  if (!collector) return {};
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    ...(collector.headersSecret ? { OTEL_EXPORTER_OTLP_HEADERS_URI: names.secretUri('otlp-headers') } : {}),
  };
}
