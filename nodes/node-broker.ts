// What a node asks of RabbitMQ. Never consumes: work queues are emptied by the functions, dead letters are taken by the
// leader.
import type { BrokerClient } from '../runtime/rabbitmq.ts';

export interface NodeBroker {
  /** Resolves when the message is confirmed and routed. @throws Failure otherwise. */
  publish(message: {
    exchange: string;
    routingKey: string;
    type: string;
    messageId: string;
    body: string | Buffer;
    headers?: Record<string, string | number>;
  }): Promise<void>;
  depth(queue: string, options?: { timeoutMs?: number }): Promise<number>;
  take: BrokerClient['take'];
  close(): Promise<void>;
}
