// Our Lambda host as a container, in the place of LocalStack's executor: the same functions with the same variables as
// cdk gives them, but with secrets as files and without a Docker socket.
import { z } from 'zod';
import { functionEnvironments } from '../../../contracts/function-environments.ts';
import { itemPartitionsSchema } from '../../../contracts/item-partitions.ts';
import { directoryTable, functionNames, functions, type FunctionName } from '../../../contracts/topology.ts';
import { bundleAll } from '../../../functions/bundle.ts';
import { startLambdaHost } from '../../lambda/host.ts';
import { runService } from '../../services/service-process.ts';
import { region } from '../../local-aws.ts';
import {
  brokerUrl,
  cluster,
  demoShopUrl,
  ftpAddress,
  lambdaHost,
  localstackUrl,
  nodes,
  smtpAddress,
} from '../addresses.ts';
import { certificateNames, mountedUri } from '../mounted.ts';

const settingsSchema = z.strictObject({ itemPartitions: itemPartitionsSchema });

await runService('lambda', settingsSchema, async ({ itemPartitions }, logger) => {
  const bundles = await bundleAll({ zipFolder: '/tmp/zips' });
  const environments = environmentsHere(itemPartitions);
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

function environmentsHere(itemPartitions: number): Record<FunctionName, Record<string, string>> {
  const ca = mountedUri(certificateNames.ca);
  const aws = {
    AWS_REGION: region,
    AWS_ENDPOINT_URL_SQS: localstackUrl,
    AWS_ENDPOINT_URL_DYNAMODB: localstackUrl,
  };
  return functionEnvironments(
    {
      cluster,
      directoryTable: directoryTable.name,
      nodeUrls: nodes.map(({ internalUrl }) => internalUrl),
      tls: (name) => ({ ca, cert: mountedUri(`${name}.pem`), key: mountedUri(`${name}.key`) }),
      broker: { url: brokerUrl, credentials: mountedUri('broker.json') },
      ftp: { address: ftpAddress, credentials: mountedUri('ftp.json'), isOurs: true },
      smtp: { address: smtpAddress, credentials: mountedUri('smtp.json'), isOurs: true },
      itemPartitions,
      scrapePrivateHosts: [new URL(demoShopUrl).host],
    },
    aws,
  );
}
