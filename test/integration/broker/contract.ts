// What every part of Baton believes of its broker, as claims that a real RabbitMQ and the development broker both have
// to keep. Each test has queues of its own; the last one kills the broker.
import type { BrokerKind } from '../../support/broker.ts';
import { useTestedBroker } from './tested-broker.ts';
import { claimErrors } from './contract-errors.ts';
import { claimLimits } from './contract-limits.ts';
import { claimRouting } from './contract-routing.ts';

export function brokerContract(kind: BrokerKind): void {
  const tested = useTestedBroker(kind);
  claimRouting(tested);
  claimLimits(tested);
  claimErrors(tested);
}
