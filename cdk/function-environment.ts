// The variables of each function, as contracts/environment.ts asks for them: addresses of the stage and places of
// secrets, never a secret. What the Lambda runtime sets by itself (AWS_REGION) must not be set here: it is reserved.
import { functionEnvironments } from '../contracts/function-environments.ts';
import { directoryTable } from '../contracts/topology.ts';
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

export function functionVariables(stage: Stage, names: Names, addresses: FunctionAddresses) {
  const isLocal = stage.kind === 'local';
  const { endpoints } = addresses;
  return functionEnvironments(
    {
      cluster: names.cluster,
      directoryTable: names.resource(directoryTable.name),
      nodeUrls: addresses.nodeUrls,
      tls: (name) => ({
        ca: names.secretUri(`tls/${name}`, 'ca'),
        cert: names.secretUri(`tls/${name}`, 'cert'),
        key: names.secretUri(`tls/${name}`, 'key'),
      }),
      broker: {
        url: addresses.brokerUrl,
        credentials: names.secretUri('broker/functions'),
        ...(isLocal ? {} : { ca: names.secretUri('trust', 'broker') }),
      },
      ftp: {
        address: addresses.ftpAddress,
        credentials: names.secretUri('ftp'),
        isOurs: isLocal || stage.ftpServer,
      },
      smtp: { address: addresses.smtpAddress, credentials: names.secretUri('smtp'), isOurs: isLocal },
      itemPartitions: stage.itemPartitions,
      ...(isLocal
        ? { scrapePrivateHosts: stage.scrapePrivateHosts }
        : { scrapeContact: stage.scrapeContact }),
    },
    endpoints ? { AWS_ENDPOINT_URL_SQS: endpoints.sqs, AWS_ENDPOINT_URL_DYNAMODB: endpoints.dynamodb } : {},
  );
}

/** Secrets that a function reads, from its own variables: its role may read these and no others. */
export function secretsIn(environment: Readonly<Record<string, string | undefined>>): string[] {
  const ids = Object.values(environment).flatMap(
    (value) => /^secretsmanager:(?<id>[^#]+)/.exec(value ?? '')?.groups?.['id'] ?? [],
  );
  return [...new Set(ids)].sort();
}
