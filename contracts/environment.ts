// The variables each process gets: emulator and cdk write them, the process reads them once at its start.
// Secrets are not in them: a variable ending in _URI says where the secret lies, `file:/path` or
// `secretsmanager:name-or-arn`, the latter with `#field` when the secret is a JSON object and one field is meant.
import * as z from 'zod';
import { membersMax, nodeIdSchema } from './ids.ts';
import { itemPartitionsSchema } from './item-partitions.ts';
import { nodes } from './topology.ts';

const secretUri = z
  .string()
  .regex(/^(?:file:\/.+|secretsmanager:[^#\s]+(?:#[^#\s]+)?)$/, 'a file: or secretsmanager: URI');
const port = z.coerce.number().int().min(0).max(65_535);
const milliseconds = z.coerce.number().int().min(1);

const clusterName = z.string().min(1).max(64);

/** What a comment of a User-Agent can hold as it is. */
export const contactSchema = z
  .url({ protocol: /^(?:https?|mailto)$/ })
  .max(200)
  .regex(/^[\x21-\x27\x2a-\x7e]+$/, 'no brackets, and nothing but ASCII');

/** `host:port` */
export const address = z.string().regex(/^[^\s:]+:\d{1,5}$/, 'host:port');
export function splitAddress(hostAndPort: string): { host: string; port: number } {
  const [host = '', port] = hostAndPort.split(':');
  return { host, port: Number(port) };
}
/** A Host header as clients send it: without the port where that is the protocol's default. */
const hostHeader = z.string().regex(/^[^\s:/]+(?::\d{1,5})?$/, 'host or host:port');

const tls = {
  /** Certificate authority of the cluster, and this process' own certificate and key, as PEM. */
  BATON_TLS_CA_URI: secretUri,
  BATON_TLS_CERT_URI: secretUri,
  BATON_TLS_KEY_URI: secretUri,
};
const broker = {
  /** amqps://host:port/vhost, without user and password. */
  BATON_BROKER_URL: z.url({ protocol: /^amqps$/ }),
  /** JSON { "username", "password" }, the shape that Lambda's RabbitMQ mapping wants too. */
  BATON_BROKER_CREDENTIALS_URI: secretUri,
  /** Authorities that may have signed the broker's certificate, where the cluster's own has not. */
  BATON_BROKER_CA_URI: secretUri.optional(),
};
/** Number of partitions of the queue `items`, for whoever publishes items or asks for their depth: as the broker has it. */
const itemPartitions = { BATON_ITEM_PARTITIONS: itemPartitionsSchema.default(1) };
const awsEndpoint = {
  AWS_REGION: z.string().min(1),
  /** Set on a laptop only; the SDK reads these by itself. */
  AWS_ENDPOINT_URL_SQS: z.url().optional(),
  AWS_ENDPOINT_URL_DYNAMODB: z.url().optional(),
};
/** Where a function asks for the leader when the directory cannot say: `https://host:port`, comma separated. */
const leaderSearch = {
  BATON_CLUSTER: clusterName,
  BATON_NODE_URLS: z
    .string()
    .transform((value) => value.split(','))
    .pipe(z.array(z.url({ protocol: /^https$/ })).min(1)),
  BATON_DIRECTORY_TABLE: z.string().min(1),
  ...awsEndpoint,
};

/** As they stand in a URL. */
export const loopbackHosts: readonly string[] = ['127.0.0.1', 'localhost', '[::1]'];
/** `host`: as it stands in a URL, or as a socket is bound to it. */
export const isLoopback = (host: string): boolean => loopbackHosts.includes(host === '::1' ? '[::1]' : host);
/** Traces may hold addresses of pages and ids of messages, so they leave this machine encrypted or not at all. */
const collectorUrl = z
  .url({ protocol: /^https?$/ })
  .refine(
    (value) => URL.parse(value)?.protocol === 'https:' || isLoopback(URL.parse(value)?.hostname ?? ''),
    'https://, or http:// to this machine alone',
  );
export const memberSchema = z.strictObject({
  id: nodeIdSchema,
  /** UDP, host:port. */
  udp: address,
  internalUrl: z.url({ protocol: /^https$/ }),
  publicUrl: z.url({ protocol: /^https?$/ }),
  voter: z.boolean().default(true),
});
export type Member = z.infer<typeof memberSchema>;

/** Whose certificate the secret keeper makes; `hosts`: DNS names besides `name`. */
const certificateOwnerSchema = z.object({ name: z.string(), hosts: z.array(z.string()).readonly() });
export type CertificateOwner = z.infer<typeof certificateOwnerSchema>;

/** A leader is not given up for one or two lost heartbeats. */
export const heartbeatsPerTimeoutMin = 3;

export const environments = {
  node: z
    .object({
      BATON_NODE_ID: nodeIdSchema,
      BATON_CLUSTER: clusterName,
      /** JSON array of every member: see memberSchema. */
      BATON_MEMBERS: jsonArray(memberSchema),
      BATON_GENERATION: z.coerce.number().int().min(1).default(1),
      /** Where the vote file and the identity lock live. */
      BATON_DATA: z.string().min(1),
      BATON_BIND: z.string().default('127.0.0.1'),
      BATON_PUBLIC_PORT: port,
      /**
       * Says that only a proxy that ends TLS, or a port published on one machine's loopback, leads to the public listener,
       * which speaks plain HTTP. Without it a node that is bound beyond loopback refuses to start.
       */
      BATON_PUBLIC_BEHIND_PROXY: z.stringbool().default(false),
      /** Comma separated Host headers with which the public listener is asked, besides its publicUrl's and loopback's. */
      BATON_PUBLIC_HOSTS: z
        .string()
        .default('')
        .transform((value) => value.split(',').filter(Boolean))
        .pipe(z.array(hostHeader)),
      BATON_INTERNAL_PORT: port,
      BATON_UDP_PORT: port,
      BATON_HEARTBEAT_MS: milliseconds.default(nodes.heartbeatMs),
      BATON_ELECTION_TIMEOUT_MS: milliseconds.default(nodes.electionTimeoutMs),
      BATON_PRIORITY: z.coerce.number().int().min(0).max(100).default(50),
      /** postgres://user@host:port/database, TLS always verified. */
      BATON_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
      BATON_DATABASE_PASSWORD_URI: secretUri,
      /** Authorities that may have signed the database's certificate, where the cluster's own has not. */
      BATON_DATABASE_CA_URI: secretUri.optional(),
      /** JSON { "current": { "id", "key" }, "previous": ... }: see docs/protocol.md. */
      BATON_CLUSTER_KEYS_URI: secretUri,
      /** JSON { "reader", "editor", "operator" }: bearer tokens of the public API. */
      BATON_TOKENS_URI: secretUri,
      /** Who breaks the system when its page asks: the launcher of a laptop. Elsewhere neither is set, and the page does not ask. */
      BATON_FAULTS_URL: z.url({ protocol: /^http$/, hostname: /^127\.0\.0\.1$/ }).optional(),
      BATON_FAULTS_TOKEN_URI: secretUri.optional(),
      BATON_ANNOUNCE_QUEUE_URL: z.url(),
      BATON_MAIL_FROM: z.string().min(3),
      /** Where the links of mails lead: an address that outlives each node. Without it they lead to the node that made the mail. */
      BATON_PAGE_URL: z.url({ protocol: /^https?$/ }).optional(),
      /** Where traces are told to, by OTLP over HTTP: `/v1/traces` is added. Without it and the next, nowhere. */
      OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl.optional(),
      /** The whole URL, path included; takes precedence over the one above. */
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collectorUrl.optional(),
      /** URI of a secret that holds what OTEL_EXPORTER_OTLP_HEADERS would: `name=value,name=value`. */
      OTEL_EXPORTER_OTLP_HEADERS_URI: secretUri.optional(),
      ...awsEndpoint,
      ...broker,
      ...itemPartitions,
      ...tls,
    })
    .superRefine(refuseUnworkable),
  scraper: z.object({
    ...leaderSearch,
    ...broker,
    ...itemPartitions,
    ...tls,
    ...ftp(),
    /** Where a shop asks who reads it; stands in each request's User-Agent. */
    BATON_SCRAPE_CONTACT: contactSchema.optional(),
    /** host:port pairs on private addresses that may be fetched all the same: the demo shop. */
    BATON_SCRAPE_PRIVATE_HOSTS: z
      .string()
      .default('')
      .transform((value) => value.split(',').filter(Boolean)),
  }),
  deliver: z.object({ ...leaderSearch, ...broker, ...tls }),
  announce: z.object({
    BATON_CLUSTER: clusterName,
    BATON_DIRECTORY_TABLE: z.string().min(1),
    ...awsEndpoint,
  }),
  redirect: z.object({
    BATON_CLUSTER: clusterName,
    BATON_DIRECTORY_TABLE: z.string().min(1),
    ...awsEndpoint,
  }),
  'ftp-sync': z.object({ ...leaderSearch, ...broker, ...tls, ...ftp() }),
  mail: z.object({
    ...leaderSearch,
    ...broker,
    ...tls,
    BATON_SMTP_ADDRESS: address,
    /** JSON { "username", "password" } */
    BATON_SMTP_CREDENTIALS_URI: secretUri,
    /** Needed only where the server's certificate is not from a public authority. */
    BATON_SMTP_CA_URI: secretUri.optional(),
  }),

  // Functions of a deploy on AWS, which no event of ours calls.
  'secret-keeper': z.object({
    AWS_REGION: z.string().regex(/^[a-z0-9-]+$/),
    BATON_CLUSTER: clusterName,
    /** What the name of every secret of the stage begins with: `baton/dev/`. */
    BATON_SECRET_PREFIX: z.string().endsWith('/'),
    /** JSON array of certificateOwnerSchema. */
    BATON_CERTIFICATES: jsonArray(certificateOwnerSchema),
    /** Where CloudWatch keeps the metrics of the stage. */
    BATON_METRIC_NAMESPACE: z.string().min(1),
  }),
  'broker-topology': z.object({
    /** https://host of the broker's management API. */
    BATON_MANAGEMENT_URL: z.url({ protocol: /^https$/ }),
    BATON_BROKER_ADMIN_URI: secretUri,
    /** The secret of a user's credentials is this and the user's name. */
    BATON_BROKER_USERS_PREFIX: z.string().endsWith('/'),
    BATON_ITEM_PARTITIONS: itemPartitionsSchema,
  }),
} as const;

/** Of text: an array of at least one. */
function jsonArray<T>(schema: z.ZodType<T>) {
  return z.string().transform((text, context): T[] => {
    try {
      return z.array(schema).min(1).parse(JSON.parse(text));
    } catch (error) {
      context.addIssue({ code: 'custom', message: `a JSON array: ${(error as Error).message}` });
      return z.NEVER;
    }
  });
}

function ftp() {
  return {
    BATON_FTP_ADDRESS: address,
    BATON_FTP_CREDENTIALS_URI: secretUri,
    BATON_FTP_CA_URI: secretUri.optional(),
    /** Folder on the server that holds in/, done/, rejected/ and out/. */
    BATON_FTP_ROOT: z.string().default('/'),
  };
}

/** Each value by itself may be right, and no leader ever be elected with all of them, or two at once. */
function refuseUnworkable(
  node: {
    BATON_NODE_ID: string;
    BATON_MEMBERS: readonly Member[];
    BATON_HEARTBEAT_MS: number;
    BATON_ELECTION_TIMEOUT_MS: number;
  },
  context: z.RefinementCtx,
): void {
  const refuse = (name: keyof typeof node, message: string): void =>
    context.addIssue({ code: 'custom', path: [name], message });
  const members = node.BATON_MEMBERS;
  for (const key of ['id', 'udp'] as const) {
    const twice = members.find(
      (member, index) => members.findIndex((one) => one[key] === member[key]) < index,
    );
    if (twice) refuse('BATON_MEMBERS', `two members have the ${key} ${twice[key]}`);
  }
  if (members.length > membersMax)
    refuse('BATON_MEMBERS', `${members.length} members, and ${membersMax} are possible`);
  if (!members.some(({ voter }) => voter)) refuse('BATON_MEMBERS', 'no member votes');
  if (!members.some(({ id }) => id === node.BATON_NODE_ID))
    refuse(
      'BATON_NODE_ID',
      `${node.BATON_NODE_ID} is not among the members ${members.map(({ id }) => id).join(', ')}`,
    );
  const timeoutMin = heartbeatsPerTimeoutMin * node.BATON_HEARTBEAT_MS;
  if (node.BATON_ELECTION_TIMEOUT_MS < timeoutMin)
    refuse(
      'BATON_ELECTION_TIMEOUT_MS',
      `${node.BATON_ELECTION_TIMEOUT_MS} ms; with a heartbeat of ${node.BATON_HEARTBEAT_MS} ms it is ${timeoutMin} at least`,
    );
}

export type ProcessName = keyof typeof environments;
export type Environment<P extends ProcessName> = z.infer<(typeof environments)[P]>;
/** What a launcher has to provide: names as they stand, values as text. */
export type EnvironmentInput<P extends ProcessName> = z.input<(typeof environments)[P]>;
