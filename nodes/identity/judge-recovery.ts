// May a node that lost its vote file be given a new one by hand, and with which term? Judged from what the database, the
// other members and their vote files say; docs/decisions/0037 argues why that is safe. Pure.
import type { Member } from '../../contracts/environment.ts';
import type { TermAnswer } from '../../contracts/node-api.ts';

/** What one member said. Both are undefined when it does not answer and its data folder is not at hand. */
export interface Heard {
  readonly id: string;
  readonly answer: TermAnswer | undefined;
  /** Its vote file, read where it lies. */
  readonly file: { readonly term: number } | undefined;
}
export interface RecoveryFacts {
  readonly nodeId: string;
  readonly generation: number;
  readonly members: readonly Pick<Member, 'id' | 'voter'>[];
  /** Its own vote file; undefined when it is missing or beyond repair. */
  readonly voteFile: { readonly term: number; readonly abstaining: boolean } | undefined;
  readonly recorded: {
    readonly nodes: readonly { readonly id: string; readonly generation: number; readonly term: number }[];
    readonly fenceTerm: number;
  };
  /** What it answers itself, when it runs. */
  readonly own: TermAnswer | undefined;
  readonly others: readonly Heard[];
}

export type Recovery =
  | { readonly kind: 'refused'; readonly reason: string }
  | {
      readonly kind: 'possible';
      /** The vote of this term counts as spent. */
      readonly term: number;
      /** Voters that nobody could ask: whoever goes on says that their processes have ended. */
      readonly unheard: readonly string[];
      /** For people: what is known of whom. */
      readonly lines: readonly string[];
    };

export function judgeRecovery(facts: RecoveryFacts): Recovery {
  const reason = refusalOf(facts);
  if (reason !== null) return { kind: 'refused', reason };
  const { voteFile, recorded, own, members, others } = facts;
  const heard = [own, ...others.flatMap(({ answer, file }) => [answer, file])];
  const terms = [voteFile, ...recorded.nodes, ...heard].flatMap((known) => known?.term ?? []);
  const isVoter = (id: string): boolean => members.some((member) => member.id === id && member.voter);
  return {
    kind: 'possible',
    term: Math.max(recorded.fenceTerm, ...terms),
    unheard: others.filter((other) => isVoter(other.id) && termOf(other) === undefined).map(({ id }) => id),
    lines: [
      `database: term ${recorded.fenceTerm} was claimed last`,
      ...recorded.nodes.map(({ id, term }) => `database: ${id} was in term ${term} when it started last`),
      ...others.map((other) => `${other.id}: ${saidBy(other)}`),
    ],
  };
}

function refusalOf({
  nodeId,
  generation,
  members,
  voteFile,
  recorded,
  own,
  others,
}: RecoveryFacts): string | null {
  if (!members.some(({ id, voter }) => id === nodeId && voter))
    return `${nodeId} is no voter: it needs no vote file`;
  if (own && !own.abstaining)
    return `${nodeId} runs and votes (term ${own.term}): there is nothing to recover`;
  if (voteFile && !voteFile.abstaining)
    return `the vote file of ${nodeId} is whole (term ${voteFile.term}): there is nothing to recover`;
  const ran = recorded.nodes.find(({ id }) => id === nodeId);
  if (!ran) return `${nodeId} never ran on this database, so it has lost nothing: start it`;
  if (ran.generation !== generation)
    return `${nodeId} last ran in generation ${ran.generation} of the membership and is configured for ${generation}: recover it in ${ran.generation}, and change the members after that`;
  const voting = others.filter(({ answer }) => answer && !answer.abstaining);
  const following = voting.find(({ answer }) => answer?.leader);
  if (following)
    return `${following.answer?.leader} leads, says ${following.id}: ${nodeId} votes again by itself when it has followed for ten election timeouts`;
  if (
    others.every(
      (other) => voting.includes(other) || !members.some(({ id, voter }) => id === other.id && voter),
    )
  )
    return `every other voter runs and votes: ${nodeId} votes again by itself when it runs and has asked them`;
  return null;
}

const termOf = ({ answer, file }: Heard): number | undefined => answer?.term ?? file?.term;

function saidBy({ answer, file }: Heard): string {
  if (answer)
    return `in term ${answer.term}, it says${answer.abstaining ? ', and lost its vote file, too' : ''}`;
  if (file) return `does not answer; its vote file says term ${file.term}`;
  return 'does not answer, and its vote file is not at hand';
}

/** What will be done, and what whoever goes on vouches for. */
export function recoveryText(
  nodeId: string,
  { term, unheard, lines }: Extract<Recovery, { kind: 'possible' }>,
): string {
  const vouched =
    unheard.length === 0
      ? 'All other voters are accounted for.'
      : `By going on you say that every process of ${unheard.join(', ')} that ran until now has ended. Should one go on all
the same, two nodes may lead one term, of which the database lets one write (docs/decisions/0037).`;
  return `${nodeId} lost its vote file and takes part in no vote.

${lines.map((line) => `  ${line}`).join('\n')}

It gets a new vote file with term ${term}, the vote of which counts as spent: it votes from term ${term + 1} on.
${vouched}
`;
}
