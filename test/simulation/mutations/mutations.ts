// The safeguards, each with the smallest change that takes it out. One that no check misses any more does not belong in
// the code; one whose text has changed has to be found again, so that a safeguard cannot lose its check unnoticed.

export interface Edit {
  /** Another one than the mutation's own. */
  readonly file?: string;
  readonly find: string;
  readonly replace: string;
}
export interface Mutation {
  readonly safeguard: string;
  /** Below nodes/, or where the list says. */
  readonly file: string;
  readonly edits: readonly Edit[];
}
/** Found by storms and cluster claims, which run the mutated core in place of the production one. */
export interface CoreMutation extends Mutation {
  readonly kind: 'core';
}
/** Of what is around the core: found by this test file. */
export interface WiringMutation extends Mutation {
  readonly kind: 'wiring';
  readonly test: string;
}

const one = (find: string, replace: string): readonly Edit[] => [{ find, replace }];

export const coreMutations: readonly CoreMutation[] = [
  {
    kind: 'core',
    safeguard: 'persist before send',
    file: 'raft/step.ts',
    edits: [
      { find: 'const effects: Effect[] = [];', replace: 'const effects: Effect[] = [...draft.sends];' },
      { find: '  effects.push(...draft.sends);\n', replace: '' },
    ],
  },
  {
    kind: 'core',
    safeguard: 'one vote a term',
    file: 'raft/votes.ts',
    edits: one("if (rule === 'granted' && state.votedFor === null) {", "if (rule === 'granted') {").concat(
      one(
        "return state.votedFor === null || state.votedFor === from ? 'granted' : 'already-voted';",
        "return 'granted';",
      ),
    ),
  },
  {
    kind: 'core',
    safeguard: 'PreVote',
    file: 'raft/campaign.ts',
    edits: one('if (state.otherVoters.length === 0) {', 'if (state.otherVoters.length >= 0) {'),
  },
  {
    kind: 'core',
    safeguard: 'CheckQuorum',
    file: 'raft/lead.ts',
    edits: one(
      'if (now - quorumHeardAt(config, state.role.peers, now) >= config.electionTimeoutMs) {',
      'if (now - quorumHeardAt(config, state.role.peers, now) === Infinity) {',
    ),
  },
  {
    kind: 'core',
    safeguard: 'CheckQuorum counts from when a heartbeat was sent',
    file: 'raft/lead.ts',
    edits: one('ackedAt: Math.max(peer.ackedAt, message.sentAt),', 'ackedAt: now,'),
  },
  {
    kind: 'core',
    safeguard: 'stickiness',
    file: 'raft/votes.ts',
    edits: one(
      'role.leader !== null && now - role.leader.heardAt < config.electionTimeoutMs',
      'role.leader !== null && now < role.leader.heardAt',
    ),
  },
  {
    kind: 'core',
    safeguard: 'a vote that arrives twice counts once',
    file: 'raft/campaign.ts',
    edits: one(
      'votes: new Set(role.votes).add(from) };',
      'votes: new Set(role.votes).add(role.votes.has(from) ? `${from} again` : from) };',
    ),
  },
  {
    kind: 'core',
    safeguard: 'votes of an older term do not count',
    file: 'raft/campaign.ts',
    edits: one("role.kind !== 'candidate' || message.term !== state.term ||", "role.kind !== 'candidate' ||"),
  },
  {
    kind: 'core',
    safeguard: 'a higher term is taken over',
    file: 'raft/step.ts',
    edits: one(
      'if (message.term > state.term) adoptTerm(draft, message.term, `${from} is in term ${message.term}`);',
      '',
    ),
  },
  {
    kind: 'core',
    safeguard: 'rank fall-back: who is not first in rank campaigns too',
    file: 'raft/follow.ts',
    edits: one(
      'return rank < 0 ? randomTimeout(draft) - config.electionTimeoutMs : rank * rankSpacingMs(config);',
      'return rank < 0 ? randomTimeout(draft) - config.electionTimeoutMs : rank === 0 ? 0 : 1e9;',
    ),
  },
  {
    kind: 'core',
    safeguard: 'ranks keep heirs apart and let the first go at once',
    file: 'raft/follow.ts',
    edits: one(
      'return rank < 0 ? randomTimeout(draft) - config.electionTimeoutMs : rank * rankSpacingMs(config);',
      'return rank + randomTimeout(draft) - config.electionTimeoutMs;',
    ),
  },
  {
    kind: 'core',
    safeguard: 'a lost vote file means no votes',
    file: 'raft/recovery.ts',
    edits: one(
      'if (!abstention) return;\n  if (votes && otherVoters',
      'if (!abstention) return;\n  if (votes || otherVoters',
    ),
  },
  {
    kind: 'core',
    safeguard: 'every other voter is asked after a loss, not some',
    file: 'raft/recovery.ts',
    edits: one(
      'otherVoters.every((id) => abstention.terms.has(id))',
      'otherVoters.some((id) => abstention.terms.has(id))',
    ),
  },
  {
    kind: 'core',
    safeguard: 'a disk that fails means no votes',
    file: 'raft/votes.ts',
    edits: one("return state.diskFailed ? 'cannot-persist' : null;", 'return null;'),
  },
  {
    kind: 'core',
    safeguard: 'priority 0 never leads',
    file: 'raft/state.ts',
    edits: one('return votes && config.priority > 0 && health.fit', 'return votes && health.fit'),
  },
  {
    kind: 'core',
    safeguard: 'learners never campaign',
    file: 'raft/state.ts',
    edits: one('return votes && config.priority > 0', 'return config.priority > 0'),
  },
  {
    kind: 'core',
    safeguard: 'votes stay within a generation',
    file: 'raft/votes.ts',
    // Either of the two alone is enough for safety.
    edits: [
      { find: "if (generation !== config.generation) return 'other-generation';\n", replace: '' },
      {
        file: 'raft/step.ts',
        find: 'if (message.generation !== state.config.generation) return undefined;\n',
        replace: '',
      },
    ],
  },
  {
    kind: 'core',
    safeguard: 'running generations are neighbours',
    file: 'raft/membership.ts',
    edits: one("if (reason !== null) return { kind: 'refused', reason };", ''),
  },
  {
    kind: 'core',
    safeguard: 'a generation begins with the highest term recorded',
    file: 'raft/membership.ts',
    edits: one('termAtLeast: Math.max(0, record.fenceTerm, ...terms)', 'termAtLeast: Math.min(0, ...terms)'),
  },
];

export const wiringMutations: readonly WiringMutation[] = [
  {
    kind: 'wiring',
    safeguard: 'late-timer guard',
    file: 'raft-loop.ts',
    edits: one('if (lateMs > heartbeatMs / 2) {', 'if (lateMs === Infinity) {'),
    test: 'test/unit/transport/raft-loop.test.ts',
  },
  {
    kind: 'wiring',
    safeguard: 'nothing is sent after a write that failed',
    file: 'raft-loop.ts',
    edits: one(
      'if (!this.#persist(effect.persisted, cause)) return false;',
      'this.#persist(effect.persisted, cause);',
    ),
    test: 'test/unit/transport/raft-loop.test.ts',
  },
  {
    kind: 'wiring',
    safeguard: 'replay window',
    file: 'transport/replay-window.ts',
    edits: one('return this.#seen[counter % replayWindowSize] === 0;', 'return true;'),
    test: 'test/unit/transport/sessions.test.ts',
  },
  {
    kind: 'wiring',
    safeguard: 'the vote stands in both slots',
    file: 'vote-file.ts',
    edits: one(
      'for (const offset of slotOffsets) {\n      disk.writeAt',
      'for (const offset of slotOffsets.slice(0, 1)) {\n      disk.writeAt',
    ),
    test: 'test/unit/vote-file/vote-file.test.ts',
  },
];
