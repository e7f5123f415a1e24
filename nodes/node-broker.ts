// What a node asks of RabbitMQ. Never consumes: queues are emptied by the functions.
export interface NodeBroker {
  /** Resolves when the message is confirmed and routed. @throws Failure otherwise. */
  publish(message: {
    exchange: string;
    routingKey: string;
    type: string;
    messageId: string;
    body: string;
    headers?: Record<string, string | number>;
  }): Promise<void>;
  depth(queue: string, options?: { timeoutMs?: number }): Promise<number>;
  close(): Promise<void>;
}
