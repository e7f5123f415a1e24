// All stacks of a stage, wired in the order of their lifetimes. Tests call it with stand-in zips.
import type { App } from 'aws-cdk-lib';
import { sqsQueues } from '../contracts/topology.ts';
import { hostOf, members } from './addresses.ts';
import { BrokerStack } from './broker-stack.ts';
import { DataStack } from './data-stack.ts';
import { EventSourcesStack } from './event-sources-stack.ts';
import { FunctionsStack, type Zips } from './functions-stack.ts';
import { MonitoringStack } from './monitoring-stack.ts';
import { Names } from './names.ts';
import { NetworkStack } from './network-stack.ts';
import { NodesStack } from './nodes-stack.ts';
import { ports } from './ports.ts';
import type { AwsStage, LocalStage, Stage } from './stage.ts';

export interface SystemZips {
  /** The functions of contracts/topology.ts, which the laptop runs too. */
  readonly functions: Zips;
  /** Custom resources, which exist on AWS alone. */
  readonly secretKeeper: string;
  readonly brokerTopology: string;
}

export function buildSystem(app: App, stage: Stage, zips: SystemZips): void {
  const names = new Names(stage);
  if (stage.kind === 'local') buildLocal(app, stage, names, zips);
  else buildAws(app, stage, names, zips);
}

/** What an emulator can deploy; nodes, broker and servers run beside it as containers. */
function buildLocal(app: App, stage: LocalStage, names: Names, zips: SystemZips): void {
  const { nodeUrls, brokerUrl, ftpAddress, smtpAddress, endpoints } = stage;
  new FunctionsStack(app, names.stack('functions'), {
    stage,
    names,
    zips: zips.functions,
    addresses: { nodeUrls, brokerUrl, ftpAddress, smtpAddress, endpoints },
  });
}

function buildAws(app: App, stage: AwsStage, names: Names, zips: SystemZips): void {
  const network = new NetworkStack(app, names.stack('network'), { stage });
  const data = new DataStack(app, names.stack('data'), {
    stage,
    names,
    network,
    secretKeeperZip: zips.secretKeeper,
  });
  const broker = new BrokerStack(app, names.stack('broker'), {
    stage,
    names,
    network,
    topologyZip: zips.brokerTopology,
  });
  // Its password is a secret of the data stack, read when the broker is made.
  broker.addStackDependency(data);
  const functions = new FunctionsStack(app, names.stack('functions'), {
    stage,
    names,
    zips: zips.functions,
    addresses: {
      nodeUrls: members(stage).map(({ internalUrl }) => internalUrl),
      brokerUrl: broker.url,
      ftpAddress: stage.ftpAddress ?? `${hostOf(stage, 'ftp')}:${ports.ftp}`,
      smtpAddress: stage.smtpAddress,
    },
    placement: { vpc: network.vpc, securityGroup: network.groups.functions },
  });
  functions.addStackDependency(data);
  const nodes = new NodesStack(app, names.stack('nodes'), {
    stage,
    names,
    network,
    data,
    brokerUrl: broker.url,
    announceQueue: functions.queueNamed(sqsQueues.announcements.name),
    front: functions.front,
  });
  const eventSources = new EventSourcesStack(app, names.stack('event-sources'), {
    broker,
    functions,
    login: data.secretNamed('broker/event-source'),
    itemPartitions: stage.itemPartitions,
  });
  new MonitoringStack(app, names.stack('monitoring'), { stage, names, data, functions, nodes });
  // A mapping that starts before its function finds a leader only fails and is tried again, but why begin so.
  eventSources.addStackDependency(nodes);
}
