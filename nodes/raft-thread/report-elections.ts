// Tells people what the raft thread tells this node: elections, refused votes, roles that change, and what somebody has to
// put right. Never decides anything.
import type { Logger } from '../../runtime/logger.ts';
import type { RaftThread } from './thread.ts';

export function reportElections({
  nodeId,
  raft,
  logger,
}: {
  nodeId: string;
  raft: Pick<RaftThread, 'status' | 'onNote' | 'onProblem' | 'onRole'>;
  logger: Pick<Logger, 'emit' | 'info'>;
}): void {
  raft.onNote((note) => {
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
