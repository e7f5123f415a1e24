// The broker of a laptop, described: a private RabbitMQ where one is installed, else the development broker. Starts nothing.
import type { BrokerAddress } from '../../runtime/amqps.ts';
import type { Authority } from '../instance/authority.ts';
import type { LocalCredentials } from '../instance/credentials.ts';
import type { Layout } from '../instance/instance.ts';
import { usualPorts, type Ports } from '../instance/ports.ts';
import type { Service } from './service.ts';
import { devBrokerService } from './dev-broker/service.ts';
import { findRabbitmq, rabbitmqIsMissing, rabbitmqService } from './rabbitmq/rabbitmq.ts';

export type BrokerChoice = 'auto' | 'rabbitmq' | 'development';

const host = '127.0.0.1';

/** @throws Error when RabbitMQ is demanded and not installed. */
export async function describeBroker(
  { broker, layout }: { broker: BrokerChoice; layout: Layout },
  {
    ports,
    credentials,
    authority,
  }: {
    ports: Ports;
    credentials: LocalCredentials;
    authority: Authority;
  },
): Promise<BrokerAddress & { service: Service; about: string }> {
  const port = (name: keyof typeof usualPorts) => ports.take(name, usualPorts[name]);
  const amqps = await port('broker');
  const { username, password } = credentials.broker;
  const tls = authority.leaf('broker');
  const installed = broker === 'development' ? undefined : findRabbitmq();
  if (!installed && broker === 'rabbitmq')
    throw new Error(`${rabbitmqIsMissing}. Install one, or start without --broker rabbitmq`);
  const service = installed
    ? rabbitmqService({
        folder: layout.data('rabbitmq'),
        port: amqps,
        distPort: await port('distribution'),
        epmdPort: await port('epmd'),
        certFile: tls.certFile,
        keyFile: tls.keyFile,
        caFile: authority.caFile,
        username,
        password,
      })
    : devBrokerService({
        folder: layout.data('broker'),
        port: amqps,
        certFile: tls.certFile,
        keyFile: tls.keyFile,
        credentialsFile: credentials.broker.file,
      });
  return {
    service,
    about: service.about,
    url: `amqps://${host}:${amqps}/`,
    credentials: () => Promise.resolve({ username, password }),
    ca: authority.ca,
  };
}
