// Tells people what the raft thread tells this node: elections, refused votes, roles that change, and what somebody has to
// put right. Never decides anything.
import type { Logger } from '../../runtime/logger.ts';
import type { Problems } from '../health/problems.ts';
import type { RaftThread } from './thread.ts';

export function reportElections({
  nodeId,
  raft,
  logger,
  problems,
}: {
  nodeId: string;
  raft: Pick<RaftThread, 'status' | 'onNote' | 'onProblem' | 'onRole'>;
  logger: Pick<Logger, 'emit' | 'info'>;
  problems: Pick<Problems, 'say'>;
}): void {
  const abstains = (is: boolean): void =>
    problems.say(
      'vote file',
      is
        ? 'this node lost its vote file and votes again once it has followed a leader or heard from every other voter: when neither can come, `baton node recover`'
        : null,
    );
  abstains(raft.status().abstaining);
  raft.onNote((note) => {
    if (note.kind === 'abstaining' || note.kind === 'voting-again') abstains(note.kind === 'abstaining');
    if (note.kind === 'election-started')
      logger.emit({ type: 'election.started', node: nodeId, term: note.term, reason: note.reason });
    else if (note.kind === 'vote-refused')
      logger.emit({
        type: 'vote.refused',
        node: nodeId,
        candidate: note.candidate,
        term: note.term,
        rule: note.rule,
      });
    else logger.info(note.kind, { ...note });
  });
  raft.onProblem(({ code, detail }) => logger.emit({ type: 'problem', code, detail }));
  let role = raft.status().role.kind;
  raft.onRole((change) => {
    const leader =
      change.role.kind === 'leader' ? nodeId : 'leader' in change.role ? change.role.leader : null;
    logger.emit({
      type: 'role.changed',
      node: nodeId,
      from: role,
      to: change.role.kind,
      term: change.term,
      leader,
      reason: change.reason,
    });
    role = change.role.kind;
  });
}
