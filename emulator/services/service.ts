// What the supervisor has to know of a service: how it is made ready, started, seen to be up and ended.
// A service runs as one process group, so that its whole tree ends with it. Never starts anything by itself.
export const serviceKinds = [
  'node',
  'database',
  'broker',
  'aws',
  'lambda',
  'event-sources',
  'ftp',
  'smtp',
  'demo-shop',
] as const;
export type ServiceKind = (typeof serviceKinds)[number];

export interface ServiceCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment of the process: nothing of the launcher's is added. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The user it runs as, where a program refuses to run as root. */
  readonly uid?: number;
  readonly gid?: number;
}

export interface Service {
  /** Unique: `node-1`, `broker`, `database`. */
  readonly name: string;
  readonly kind: ServiceKind;
  /** What people see: host:port or a URL. */
  readonly address: string;
  /** One word or two for people: "PostgreSQL 18.4", "RabbitMQ 3.10.8". */
  readonly about: string;
  /**
   * Runs before every start, so it has to be quick when there is nothing to do. Aborted when nobody waits for it any more: it
   * ends what it has started before it rejects. @throws Error with what to do.
   */
  prepare?(signal: AbortSignal): Promise<void>;
  readonly command: ServiceCommand;
  /**
   * Resolves when the service does its work; rejects, or is aborted, when it will not.
   * Left out by our own services: they print a ReadyLine (service-process.ts).
   */
  ready?(signal: AbortSignal): Promise<void>;
  readonly startWithinMs: number;
  readonly stopSignal: 'SIGTERM' | 'SIGINT';
  /** How long it may take to end before its group is killed. */
  readonly stopWithinMs: number;
  /** Ends what the process leaves behind (RabbitMQ's port mapper). Runs after every end. */
  clean?(): Promise<void>;
}
