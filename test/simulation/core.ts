// The election core as the simulator runs it: the production one, or one with a safeguard taken out of its source.
import { admit } from '../../nodes/raft/membership.ts';
import { initialState, view } from '../../nodes/raft/state.ts';
import { step } from '../../nodes/raft/step.ts';

export interface Core {
  readonly initialState: typeof initialState;
  readonly step: typeof step;
  readonly view: typeof view;
  readonly admit: typeof admit;
}
export const productionCore: Core = { initialState, step, view, admit };
