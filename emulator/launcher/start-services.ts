// The order in which a stack's services come up and go down again. Which process runs is the supervisor's.
import { describeError } from '../../runtime/failure.ts';
import { giveBackCrawls, type LeftCrawlsPlace } from '../instance/left-crawls.ts';
import { region } from '../local-aws.ts';
import type { Service } from '../services/service.ts';
import { provisionAws } from '../services/aws/provision.ts';
import { declareTopology } from '../services/declare-topology.ts';
import type { Stack } from '../stack/stack.ts';
import type { Supervisor } from './supervisor.ts';

/** `beforeNodes`: once the database is up. `onCrawlsKept`: crawls that an earlier system left could not be given back. */
export async function startServices(
  stack: Stack,
  supervisor: Supervisor,
  {
    itemPartitions,
    awsEndpoint,
    beforeNodes,
    onCrawlsKept,
  }: {
    itemPartitions: number;
    awsEndpoint: string | undefined;
    beforeNodes: (() => Promise<void>) | undefined;
    onCrawlsKept: (reason: string) => void;
  },
): Promise<void> {
  const databases = stack.first.filter(({ kind }) => kind === 'database');
  const databaseUp = Promise.all(databases.map((database) => supervisor.start(database)));
  const mayElect = beforeNodes ? databaseUp.then(beforeNodes) : undefined;
  const started = stack.first.map(async (service) => {
    if (service.kind === 'node') await mayElect;
    await (service.kind === 'database' ? databaseUp : supervisor.start(service));
    if (service.kind === 'broker') await declareTopology(stack.broker, itemPartitions);
  });
  if (awsEndpoint !== undefined) started.push(provisionElsewhere(awsEndpoint));
  // The first failure ends the start; what the others still say is of no interest then.
  const cluster = started.filter((_, index) => stack.first[index]?.kind !== 'broker');
  const around = Promise.all(cluster).then(() =>
    Promise.all(stack.next.map((service) => supervisor.start(service))),
  );
  await Promise.all([...started, around]);
  // Before anything can crawl. A start does not fail by it: leases end by themselves.
  await giveBackCrawls(placeOfCrawls(stack)).catch((error: unknown) => onCrawlsKept(describeError(error)));
  await Promise.all(stack.last.map((service) => supervisor.start(service)));
}

export async function stopServices(stack: Stack, supervisor: Supervisor): Promise<void> {
  const stop = (services: readonly Service[]) =>
    Promise.all(services.map(({ name }) => supervisor.stop(name)));
  // Functions and nodes end while the database and the broker still answer.
  const isLate = ({ name }: Service): boolean => ['database', 'broker'].includes(name);
  supervisor.startNoMore();
  await stop(stack.last);
  await stop([...stack.first, ...stack.next].filter((service) => !isLate(service)));
  await stop(stack.first.filter(isLate));
}

async function provisionElsewhere(endpoint: string): Promise<void> {
  try {
    await provisionAws({ sqsUrl: endpoint, dynamodbUrl: endpoint, region });
  } catch (cause) {
    throw new Error(
      `AWS_ENDPOINT_URL names ${endpoint}, which does not answer as SQS and DynamoDB do: start it or unset the variable`,
      { cause },
    );
  }
}

function placeOfCrawls({ databaseUrl, credentials, authority, addresses }: Stack): LeftCrawlsPlace {
  const { hostname: host, port, username: user, pathname } = new URL(databaseUrl);
  return {
    host,
    port: Number(port),
    user,
    database: pathname.slice(1),
    password: credentials.database.password,
    ca: authority.ca,
    demoShop: addresses.demoShop,
  };
}
