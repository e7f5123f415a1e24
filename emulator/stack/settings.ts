// What can be chosen when a system of a laptop starts.
import type { EnvironmentInput } from '../../contracts/environment.ts';
import type { Layout } from '../instance/instance.ts';
import type { BrokerChoice } from '../services/describe-broker.ts';

/** Milliseconds. */
export interface Timeouts {
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
}
export interface StackSettings {
  readonly layout: Layout;
  readonly nodes: number;
  /** The generation of the membership: see instance/membership.ts. */
  readonly generation: number;
  readonly isolated: boolean;
  readonly demo: boolean;
  readonly broker: BrokerChoice;
  /** Number of partitions of the queue `items`. */
  readonly itemPartitions: number;
  readonly timeouts: Timeouts;
  /** Nodes reach each other through links that `baton chaos` can break. */
  readonly links: boolean;
  /** `host:port` of shops on private addresses that may be crawled: those that the user names, one by one. */
  readonly privateShops: readonly string[];
  /** Where a shop asks who crawls it. */
  readonly contact: string | undefined;
  /** SQS and DynamoDB served elsewhere: no emulator of ours is started for them. */
  readonly awsEndpoint: string | undefined;
  /** Lambda served elsewhere. */
  readonly lambdaEndpoint: string | undefined;
  /** Where the nodes tell traces to, in the words of contracts/environment.ts; empty: nowhere. */
  readonly collector: CollectorSettings;
}
export type CollectorSettings = Pick<
  EnvironmentInput<'node'>,
  'OTEL_EXPORTER_OTLP_ENDPOINT' | 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT' | 'OTEL_EXPORTER_OTLP_HEADERS_URI'
>;
