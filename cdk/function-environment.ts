// The variables of each function, as contracts/environment.ts asks for them: addresses of the stage and places of
// secrets, never a secret. What the Lambda runtime sets by itself (AWS_REGION) must not be set here: it is reserved.
import type { EnvironmentInput } from '../contracts/environment.ts';
import { directoryTable, type FunctionName } from '../contracts/topology.ts';
import type { Names } from './names.ts';
import type { Stage } from './stage.ts';

/** Set by the runtime: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html */
export type SetByRuntime = 'AWS_REGION';

export interface FunctionAddresses {
  readonly nodeUrls: readonly string[];
  readonly brokerUrl: string;
  readonly ftpAddress: string;
  readonly smtpAddress: string;
  readonly endpoints?: { readonly sqs: string; readonly dynamodb: string };
}
type Environments = { [F in FunctionName]: Omit<EnvironmentInput<F>, SetByRuntime> };

export function functionEnvironments(
  stage: Stage,
  names: Names,
  addresses: FunctionAddresses,
): Readonly<Environments> {
  const isLocal = stage.kind === 'local';
  const directory = {
    BATON_CLUSTER: names.cluster,
    BATON_DIRECTORY_TABLE: names.resource(directoryTable.name),
    ...(addresses.endpoints === undefined
      ? {}
      : {
          AWS_ENDPOINT_URL_SQS: addresses.endpoints.sqs,
          AWS_ENDPOINT_URL_DYNAMODB: addresses.endpoints.dynamodb,
        }),
  };
  const broker = {
    BATON_BROKER_URL: addresses.brokerUrl,
    BATON_BROKER_CREDENTIALS_URI: names.secretUri('broker/functions'),
    ...(isLocal ? {} : { BATON_BROKER_CA_URI: names.secretUri('trust', 'broker') }),
  };
  /** For whoever calls the nodes. */
  const caller = (name: FunctionName) => ({
    ...directory,
    BATON_NODE_URLS: addresses.nodeUrls.join(','),
    BATON_TLS_CA_URI: names.secretUri(`tls/${name}`, 'ca'),
    BATON_TLS_CERT_URI: names.secretUri(`tls/${name}`, 'cert'),
    BATON_TLS_KEY_URI: names.secretUri(`tls/${name}`, 'key'),
    ...broker,
  });
  const ftp = (name: FunctionName) => ({
    BATON_FTP_ADDRESS: addresses.ftpAddress,
    BATON_FTP_CREDENTIALS_URI: names.secretUri('ftp'),
    // The stage's own FTP server has a certificate of the cluster; one elsewhere has a public one.
    ...(isLocal || stage.ftpServer ? { BATON_FTP_CA_URI: names.secretUri(`tls/${name}`, 'ca') } : {}),
  });
  return {
    scraper: {
      ...caller('scraper'),
      ...ftp('scraper'),
      BATON_ITEM_PARTITIONS: String(stage.itemPartitions),
      ...(isLocal ? { BATON_SCRAPE_PRIVATE_HOSTS: stage.scrapePrivateHosts.join(',') } : {}),
    },
    deliver: caller('deliver'),
    announce: directory,
    redirect: directory,
    'ftp-sync': { ...caller('ftp-sync'), ...ftp('ftp-sync') },
    mail: {
      ...caller('mail'),
      BATON_SMTP_ADDRESS: addresses.smtpAddress,
      BATON_SMTP_CREDENTIALS_URI: names.secretUri('smtp'),
      ...(isLocal ? { BATON_SMTP_CA_URI: names.secretUri('tls/mail', 'ca') } : {}),
    },
  };
}

/** Secrets that a function reads, from its own variables: its role may read these and no others. */
export function secretsIn(environment: Readonly<Record<string, string | undefined>>): string[] {
  const ids = Object.values(environment).flatMap(
    (value) => /^secretsmanager:(?<id>[^#]+)/.exec(value ?? '')?.groups?.['id'] ?? [],
  );
  return [...new Set(ids)].sort();
}
