// What a whole cluster owes its users beyond safety, each as a claim that any core can be held to: by the tests the
// production one, by the mutations one with a safeguard taken out.
import type { Core } from './core.ts';
import {
  cutOffAndBack,
  deafToTheLeader,
  deathIsSeen,
  forgottenVote,
  handOver,
  leaderAndHeirsDie,
  threeGenerations,
  votesOfTheRemoved,
} from './scenarios.ts';

export interface Claim {
  readonly claim: string;
  readonly holds: (core: Core) => boolean;
}

const unchanged = ({ before, after }: { before: number; after: number }): boolean => before === after;

export const claims: readonly Claim[] = [
  {
    claim: 'a follower that was cut off comes back and disturbs nobody',
    holds: (core) => unchanged(cutOffAndBack(core)),
  },
  {
    claim: 'one that hears everybody but the leader cannot depose it',
    holds: (core) => unchanged(deafToTheLeader(core)),
  },
  {
    claim: 'the first in rank leads within 1.2 timeouts after the leader fell silent',
    holds: (core) => leaderAndHeirsDie(core, 0) < 1.2,
  },
  {
    claim: 'the next in rank leads within 1.35 timeouts when the first died with the leader',
    holds: (core) => leaderAndHeirsDie(core, 1) < 1.35,
  },
  {
    claim: 'a death that all see is over within a tenth of a timeout',
    holds: (core) => deathIsSeen(core) < 0.1,
  },
  {
    claim: 'leadership moves to the named node in one term and within a tenth of a timeout',
    holds(core) {
      const end = handOver(core, ([, second = '']) => ({ target: second, dead: [] }));
      return end.after === end.target && end.terms === 1 && end.tookTimeouts < 0.1;
    },
  },
  {
    claim: 'a vote that was lost with its file is not given to somebody else',
    holds: (core) => forgottenVote(core) === null,
  },
  {
    claim: 'three generations that are asked for at once do not elect two leaders in one term',
    holds: (core) => threeGenerations(core) === null,
  },
  {
    claim: 'no term is led twice by way of three generations one after the other',
    holds: (core) => votesOfTheRemoved(core) === null,
  },
];
