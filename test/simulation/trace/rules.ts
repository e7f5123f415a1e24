// What a trace must hold to, and where each rule is argued: a section of Ongaro's dissertation
// (https://github.com/ongardie/dissertation), or of nodes/raft/README.md for what an election beside a database adds.

export const rules = {
  'a trace makes sense': 'only what runs acts',
  'the term on disk never goes back': '3.3',
  'a vote on disk is never changed': '3.4',
  'what is on disk survives a restart': '3.8',
  'a term never goes back': '3.3',
  'a new term was heard of or campaigned for': '3.3',
  'a higher term is taken over': '3.3',
  'a vote is on disk before it is sent': '3.8',
  'a term is on disk before it is told': '3.8',
  'one vote per node and term': '3.4',
  'only voters vote': '4.2.1',
  'a candidate campaigns only after a majority agreed': '9.6',
  'only the leader that is left lifts stickiness': '3.10',
  'who hears a leader helps nobody to replace it': '4.2.3',
  'priority 0 never campaigns': 'README: health',
  'a leader has the votes of a majority': '3.4',
  'one leader per term': '3.2',
  'only who leads sends heartbeats': '3.4',
  'votes stay within a generation': '4.1',
  'a removed node never leads': '4.2.2',
  'a leader without a majority steps down in time': '6.2',
  'a node that lost its vote file does not vote': 'README: a lost vote file',
  'the fence only rises': 'README: the database has the last word',
  'one node holds the fence of a term': 'README: the database has the last word',
  'no write of an older term lands after a newer claim': 'README: the database has the last word',
} as const;
export type Rule = keyof typeof rules;

/** A rule that a trace, or what follows from it, does not hold to. */
export class Violation extends Error {
  readonly claim: string;
  constructor(claim: string, detail: string) {
    super(`${claim}: ${detail}`);
    this.claim = claim;
  }
}
