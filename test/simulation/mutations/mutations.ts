// The safeguards of the election layer, each with the smallest change that takes it out. One that no check misses any more does not belong in
// the code; one whose text has changed has to be found again, and each rule that a refusal can name needs its mutation, so
// that a safeguard cannot lose its check unnoticed (test/unit/raft/mutations.test.ts). The fence in the database has its
// own list, test/chaos/mutations.
import type { Rule, StepDownRule, TransferRule } from '../../../nodes/raft/types.ts';

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
/** What refusals and reasons name. */
export type NamedRule = Rule | StepDownRule | TransferRule;
interface Guarding extends Mutation {
  /** The rules that nobody applies any more without this safeguard. */
  readonly rules?: readonly NamedRule[];
}
/** Found by storms and cluster claims, which run the mutated core in place of the production one. */
export interface CoreMutation extends Guarding {
  readonly kind: 'core';
}
/** Of what is around the core, or too rare for a storm to rely on: found by this test file. */
export interface TestedMutation extends Guarding {
  readonly kind: 'tested';
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
    rules: ['already-voted'],
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
    rules: ['quorum-lost'],
    file: 'raft/lead.ts',
    edits: one(
      'if (now >= quorumHeardAt(config, state.role.peers, now) + config.electionTimeoutMs) {',
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
    rules: ['leader-is-alive'],
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
    rules: ['higher-term'],
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
    safeguard: 'a request of a lower term gets no vote',
    rules: ['term-too-low'],
    file: 'raft/votes.ts',
    edits: one("if (message.term < state.term) return 'term-too-low';", ''),
  },
  {
    kind: 'core',
    safeguard: 'an agreement to a campaign goes stale',
    file: 'raft/campaign.ts',
    edits: one(
      'return grant !== undefined && state.now - grant.at < state.config.electionTimeoutMs;',
      'return grant !== undefined && grant.at <= state.now;',
    ),
  },
  {
    kind: 'core',
    safeguard: 'a leader whose claim is refused leaves',
    rules: ['fence-refused'],
    file: 'raft/step.ts',
    edits: one(
      'if (!Number.isSafeInteger(databaseTerm + 1) || databaseTerm < state.term) return;',
      'if (databaseTerm >= 0) return;',
    ),
  },
  {
    kind: 'core',
    safeguard: 'a lost vote file means no votes',
    rules: ['abstaining'],
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
    rules: ['cannot-persist'],
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
    rules: ['other-generation'],
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

export const testedMutations: readonly TestedMutation[] = [
  {
    kind: 'tested',
    safeguard: 'a learner does not vote',
    rules: ['not-a-voter'],
    file: 'raft/votes.ts',
    edits: one("return votes && config.voters.includes(from) ? null : 'not-a-voter';", 'return null;'),
    test: 'test/unit/raft/votes.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'a request that the old leader asked for lifts stickiness for later terms alone',
    file: 'raft/votes.ts',
    edits: one('message.transfer && message.term > state.term', 'message.transfer'),
    test: 'test/unit/raft/votes.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'an answer to an earlier boot does not count',
    file: 'raft/campaign.ts',
    edits: one('boot === state.config.boot && state', 'boot !== from && state'),
    test: 'test/unit/raft/votes.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'a leader gives way to another one of its term',
    rules: ['second-leader'],
    file: 'raft/follow.ts',
    edits: one("if (role.kind === 'leader') {", "if (role.kind === 'leader' && from === '') {"),
    test: 'test/unit/raft/leading.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'an unfit leader leaves',
    rules: ['unfit'],
    file: 'raft/lead.ts',
    edits: one('if (!health.fit) {', 'if (!health.fit && now < 0) {'),
    test: 'test/unit/raft/leading.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'a leader that alone has no database hands over',
    rules: ['no-database'],
    file: 'raft/lead.ts',
    edits: one(
      'if (health.databaseReachable || now < role.handOverAt) return;',
      'if (health.databaseReachable || now >= 0) return;',
    ),
    test: 'test/unit/raft/leading.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'only a leader hands over',
    rules: ['not-the-leader'],
    file: 'raft/lead.ts',
    edits: one("return fail('this node does not lead', 'not-the-leader');", 'return undefined;'),
    test: 'test/unit/raft/scenarios.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'one hand-over at a time',
    rules: ['one-at-a-time'],
    file: 'raft/lead.ts',
    edits: one('  if (role.transfer)\n    return fail(', '  if (role.transfer && now < 0)\n    return fail('),
    test: 'test/unit/raft/scenarios.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'no hand-over to a learner',
    rules: ['unsuitable-target'],
    file: 'raft/lead.ts',
    edits: one(
      'if (!draft.state.otherVoters.includes(target)) return',
      'if (!draft.state.others.includes(target)) return',
    ),
    test: 'test/unit/raft/scenarios.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'a hand-over ends after one timeout',
    rules: ['one-timeout'],
    file: 'raft/lead.ts',
    edits: one('if (now >= transfer.until) {', 'if (now >= 2 * transfer.until) {'),
    test: 'test/unit/raft/leading.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'only the leader that is followed sends a node campaigning',
    file: 'raft/follow.ts',
    edits: one('if (role.leader?.id !== from) return;', ''),
    test: 'test/unit/raft/scenarios.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'who asked a moment before the leader was lost is answered then',
    file: 'raft/votes.ts',
    edits: one('if (putOff && now - putOff.at', 'if (putOff && now < 0 && now - putOff.at'),
    test: 'test/unit/raft/scenarios.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'a heartbeat counts once',
    file: 'raft/follow.ts',
    edits: one('if (known && message.sequence <= known.sequence) return;', ''),
    test: 'test/unit/raft/leading.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'evidence is of one boot in one term',
    file: 'raft/follow.ts',
    edits: one(
      'if (role.leader.id !== leader || role.leader.boot !== leaderBoot) return;',
      'if (role.leader.id !== leader) return;',
    ),
    test: 'test/unit/raft/leading.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'who lost its vote file tells no terms',
    file: 'raft/recovery.ts',
    edits: one('if (!votes || abstention || diskFailed) return;', 'if (!votes || diskFailed) return;'),
    test: 'test/unit/raft/votes.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'late-timer guard',
    file: 'raft-thread/loop.ts',
    edits: one('if (lateMs > heartbeatMs / 2) {', 'if (lateMs === Infinity) {'),
    test: 'test/unit/transport/raft-loop.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'nothing is sent after a write that failed',
    file: 'raft-thread/loop.ts',
    edits: one(
      'if (!this.#persist(effect.persisted, cause)) return false;',
      'this.#persist(effect.persisted, cause);',
    ),
    test: 'test/unit/transport/raft-loop.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'a leader hears all that waited before it counts its quorum',
    file: 'raft/step.ts',
    edits: one('  take(draft, input);\n', '  take(draft, input);\n  leaderTick(draft);\n'),
    test: 'test/unit/raft/leading.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'a leader whose claim the database lost claims again',
    file: 'leadership.ts',
    edits: one('if (databaseTerm === null || databaseTerm > term) {', 'if (databaseTerm !== term) {'),
    test: 'test/unit/node/leadership.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'the simulated fence is of one holder a term',
    file: '../test/simulation/database.ts',
    edits: one('if (term <= this.fenceTerm) return false;', 'if (term < this.fenceTerm) return false;'),
    test: 'test/unit/raft/simulated-fence.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'the simulated fence only rises',
    file: '../test/simulation/database.ts',
    edits: one('if (term <= this.fenceTerm) return false;', 'if (term === this.fenceTerm) return false;'),
    test: 'test/unit/raft/simulated-fence.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'the simulated fence refuses the writes of an older term',
    file: '../test/simulation/database.ts',
    edits: one('return term === this.fenceTerm;', 'return term <= this.fenceTerm;'),
    test: 'test/unit/raft/simulated-fence.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'replay window',
    file: 'transport/replay-window.ts',
    edits: one('return this.#seen[counter % replayWindowSize] === 0;', 'return true;'),
    test: 'test/unit/transport/sessions.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'what was opened is checked all the same',
    file: 'transport/message.ts',
    edits: one(
      'return messageSchema.safeParse(parseJson(bytes.toString())).data;',
      'return parseJson(bytes.toString()) as Message;',
    ),
    test: 'test/unit/raft/fuzz.test.ts',
  },
  {
    kind: 'tested',
    safeguard: 'the vote stands in both slots',
    file: 'identity/vote-file.ts',
    edits: one(
      'for (const offset of slotOffsets) {\n      disk.writeAt',
      'for (const offset of slotOffsets.slice(0, 1)) {\n      disk.writeAt',
    ),
    test: 'test/unit/vote-file/vote-file.test.ts',
  },
];
