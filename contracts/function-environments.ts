// Which variables each function gets, said once: cdk/, the laptop's stack and the container with our Lambda host say only
// where things are. Never a secret: places of secrets.
import type { EnvironmentInput } from './environment.ts';
import type { FunctionName, FunctionThatCallsNodes } from './topology.ts';

/** `credentials`, `ca`, `cert` and `key` are URIs, as environment.ts wants them. */
export interface FunctionPlaces {
  readonly cluster: string;
  readonly directoryTable: string;
  readonly nodeUrls: readonly string[];
  readonly tls: (name: FunctionThatCallsNodes) => {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
  };
  /** `ca`: where its certificate is not of the cluster's own authority. */
  readonly broker: { readonly url: string; readonly credentials: string; readonly ca?: string };
  readonly ftp: FilesOrMails;
  readonly smtp: FilesOrMails;
  readonly itemPartitions: number;
  /** `host:port` on private addresses, and to be scraped all the same. */
  readonly scrapePrivateHosts?: readonly string[];
  readonly scrapeContact?: string | undefined;
}
interface FilesOrMails {
  /** `host:port` */
  readonly address: string;
  readonly credentials: string;
  /** Its certificate is of the cluster's own authority. */
  readonly isOurs: boolean;
}

/** `aws`: how the SDK finds AWS. Empty on AWS itself, whose runtime sets AWS_REGION and lets nobody else set it. */
export function functionEnvironments(
  places: FunctionPlaces,
  aws: Readonly<Record<string, string>>,
): Readonly<Record<FunctionName, Readonly<Record<string, string>>>> {
  const { broker, ftp, smtp, tls, scrapePrivateHosts, scrapeContact } = places;
  const directory = {
    BATON_CLUSTER: places.cluster,
    BATON_DIRECTORY_TABLE: places.directoryTable,
    ...aws,
  };
  const caller = (name: FunctionThatCallsNodes) => ({
    ...directory,
    BATON_NODE_URLS: places.nodeUrls.join(','),
    BATON_TLS_CA_URI: tls(name).ca,
    BATON_TLS_CERT_URI: tls(name).cert,
    BATON_TLS_KEY_URI: tls(name).key,
    BATON_BROKER_URL: broker.url,
    BATON_BROKER_CREDENTIALS_URI: broker.credentials,
    ...(broker.ca === undefined ? {} : { BATON_BROKER_CA_URI: broker.ca }),
  });
  const files = (name: FunctionThatCallsNodes) => ({
    BATON_FTP_ADDRESS: ftp.address,
    BATON_FTP_CREDENTIALS_URI: ftp.credentials,
    ...(ftp.isOurs ? { BATON_FTP_CA_URI: tls(name).ca } : {}),
  });
  return {
    scraper: {
      ...caller('scraper'),
      ...files('scraper'),
      BATON_ITEM_PARTITIONS: String(places.itemPartitions),
      ...(scrapePrivateHosts ? { BATON_SCRAPE_PRIVATE_HOSTS: scrapePrivateHosts.join(',') } : {}),
      ...(scrapeContact === undefined ? {} : { BATON_SCRAPE_CONTACT: scrapeContact }),
    },
    deliver: caller('deliver'),
    announce: directory,
    redirect: directory,
    'ftp-sync': { ...caller('ftp-sync'), ...files('ftp-sync') },
    mail: {
      ...caller('mail'),
      BATON_SMTP_ADDRESS: smtp.address,
      BATON_SMTP_CREDENTIALS_URI: smtp.credentials,
      ...(smtp.isOurs ? { BATON_SMTP_CA_URI: tls('mail').ca } : {}),
    },
  } satisfies { [F in FunctionName]: Omit<EnvironmentInput<F>, 'AWS_REGION'> };
}
