// What a system tells while it starts and runs.
import type { Generation } from '../instance/membership.ts';
import type { Stack } from '../stack/stack.ts';
import type { ServiceView } from '../cluster/status.ts';

/** What happens between the first line of `baton up` and its end. */
export type SystemEvent =
  | { readonly event: 'leftovers-ended'; readonly names: readonly string[] }
  | { readonly event: 'described'; readonly broker: string; readonly movedPorts: Stack['movedPorts'] }
  | ({ readonly event: 'membership-changed' } & Generation)
  | { readonly event: 'restored' }
  | { readonly event: 'crawls-kept'; readonly reason: string }
  | ({ readonly event: 'service'; readonly about: string; readonly detail: string | null } & ServiceView)
  | { readonly event: 'leader'; readonly node: string; readonly term: number }
  | { readonly event: 'first-items'; readonly applied: number }
  | { readonly event: 'fence-refused'; readonly node: string; readonly term: number; readonly what: string };
