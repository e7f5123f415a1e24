// The broker contract, kept by a private RabbitMQ: it tells whether the contract says what is so.
import { describe } from 'vitest';
import { rabbitmqInstalled } from '../../support/broker.ts';
import { brokerContract } from './contract.ts';

const reason = rabbitmqInstalled ? '' : ' (skipped: no RabbitMQ is installed here)';
describe.skipIf(!rabbitmqInstalled)(`RabbitMQ${reason}`, () => {
  brokerContract('rabbitmq');
});
