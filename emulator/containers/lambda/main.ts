// Our Lambda host as a container, in the place of LocalStack's executor: the same functions with the same variables as
// cdk gives them, but with secrets as files and without a Docker socket.
import { z } from 'zod';
import type { EnvironmentInput } from '../../../contracts/environment.ts';
import { itemPartitionsSchema } from '../../../contracts/item-partitions.ts';
import { directoryTable, functionNames, functions, type FunctionName } from '../../../contracts/topology.ts';
import { bundleAll } from '../../../functions/bundle.ts';
import { startLambdaHost } from '../../lambda/host.ts';
import { runService } from '../../service-process.ts';
import {
  brokerUrl,
  cluster,
  demoShopUrl,
  ftpAddress,
  lambdaHost,
  localstackUrl,
  nodes,
  region,
  smtpAddress,
} from '../addresses.ts';
import { certificateNames, mountedUri } from '../mounted.ts';

const settingsSchema = z.strictObject({ itemPartitions: itemPartitionsSchema });

await runService('lambda', settingsSchema, async ({ itemPartitions }, logger) => {
  const bundles = await bundleAll({ zipFolder: '/tmp/zips' });
  const environments = functionEnvironments(itemPartitions);
  return await startLambdaHost({
    host: '0.0.0.0',
    containerName: lambdaHost.name,
    port: lambdaHost.port,
    frontPort: lambdaHost.frontPort,
    logDir: '/tmp/logs',
    logger,
    functions: Object.fromEntries(
      functionNames.map((name) => [
        name,
        { zipFile: bundles[name].zipFile, settings: functions[name], environment: environments[name] },
      ]),
    ),
  });
});

function functionEnvironments(itemPartitions: number): Record<FunctionName, Record<string, string>> {
  const ca = mountedUri(certificateNames.ca);
  const aws = {
    AWS_REGION: region,
    AWS_ENDPOINT_URL_SQS: localstackUrl,
    AWS_ENDPOINT_URL_DYNAMODB: localstackUrl,
  };
  const directory = { BATON_CLUSTER: cluster, BATON_DIRECTORY_TABLE: directoryTable.name, ...aws };
  const caller = (name: FunctionName) => ({
    ...directory,
    BATON_NODE_URLS: nodes.map(({ internalUrl }) => internalUrl).join(','),
    BATON_BROKER_URL: brokerUrl,
    BATON_BROKER_CREDENTIALS_URI: mountedUri('broker.json'),
    BATON_TLS_CA_URI: ca,
    BATON_TLS_CERT_URI: mountedUri(`${name}.pem`),
    BATON_TLS_KEY_URI: mountedUri(`${name}.key`),
  });
  const ftp = {
    BATON_FTP_ADDRESS: ftpAddress,
    BATON_FTP_CREDENTIALS_URI: mountedUri('ftp.json'),
    BATON_FTP_CA_URI: ca,
  };
  const environments = {
    scraper: {
      ...caller('scraper'),
      ...ftp,
      BATON_ITEM_PARTITIONS: String(itemPartitions),
      BATON_SCRAPE_PRIVATE_HOSTS: new URL(demoShopUrl).host,
    },
    deliver: caller('deliver'),
    announce: directory,
    redirect: directory,
    'ftp-sync': { ...caller('ftp-sync'), ...ftp },
    mail: {
      ...caller('mail'),
      BATON_SMTP_ADDRESS: smtpAddress,
      BATON_SMTP_CREDENTIALS_URI: mountedUri('smtp.json'),
      BATON_SMTP_CA_URI: ca,
    },
  } satisfies { [F in FunctionName]: EnvironmentInput<F> };
  return environments;
}
