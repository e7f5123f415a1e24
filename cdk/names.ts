// Names of what a stage owns, made from those of contracts/topology.ts, so that two stages fit into one account.
// In the emulators the names are the contracts' own: there the containers find each other by them.
import type { SecretName } from '../contracts/secrets.ts';
import type { FunctionName } from '../contracts/topology.ts';
import type { Stage } from './stage.ts';

export class Names {
  readonly #stage: Stage;
  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** The name of an SQS queue, a table or a rule: `baton-tick` is `baton-dev-tick` in the stage dev. */
  resource(name: string): string {
    return this.#stage.kind === 'local' ? name : name.replace(/^baton/, `baton-${this.#stage.name}`);
  }
  function(name: FunctionName): string {
    return this.#stage.kind === 'local' ? name : `baton-${this.#stage.name}-${name}`;
  }
  /** The name of a secret; with an empty one what all of them begin with. */
  secret(name: SecretName | ''): string {
    return `baton/${this.#stage.name}/${name}`;
  }
  /** The URI of a secret, as contracts/environment.ts wants it. */
  secretUri(name: SecretName, field?: string): string {
    return `secretsmanager:${this.secret(name)}${field === undefined ? '' : `#${field}`}`;
  }
  get cluster(): string {
    return `baton-${this.#stage.name}`;
  }
  /** What the load balancer calls the function in front by. */
  get frontTargetGroup(): string {
    return `${this.cluster}-front`;
  }
  alarm(name: string): string {
    return `${this.cluster}-${name}`;
  }
  stack(name: string): string {
    return `baton-${this.#stage.name}-${name}`;
  }
  logGroup(of: 'nodes' | 'ftp' | `functions/${string}`): string {
    return `/baton/${this.#stage.name}/${of}`;
  }
}

/** Where a stage's own metrics are. */
export function metricNamespace({ name }: Pick<Stage, 'name'>): string {
  return `Baton/${name}`;
}
