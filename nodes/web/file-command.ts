// Work for ftp-sync, published by a node: confirmed, or the request that wants it fails.
import { fileCommandType, fileCommandVersion, type FileCommand } from '../../contracts/file-command.ts';
import { exchanges, routingKeys } from '../../contracts/topology.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import { newTraceparent } from '../../runtime/trace.ts';

export async function publishFileCommand(
  broker: Pick<BrokerClient, 'publish'>,
  command: { kind: 'export' } | { kind: 'retry'; name: string },
): Promise<void> {
  const body: FileCommand = {
    version: fileCommandVersion,
    traceparent: newTraceparent(),
    ...command,
  };
  await broker.publish({
    exchange: exchanges.main.name,
    routingKey: routingKeys.files(command.kind),
    type: fileCommandType,
    messageId: `${command.kind}/${body.traceparent}`,
    body: JSON.stringify(body),
  });
}
