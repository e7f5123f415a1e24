// The members, each with its role by shape, colour and text; who leads is to be seen from across a room.
import type { ClusterView } from '../../contracts/public-api.ts';
import { formatAge } from './format.ts';
import { leadershipText, standingOf, standingTexts, type Standing } from './standing.ts';
import { cluster, services } from './state.ts';

export function Cluster() {
  const { value: view, stale } = cluster.value;
  return (
    <section aria-labelledby="cluster-title" class={`cluster${stale ? ' stale' : ''}`}>
      <h2 id="cluster-title">Cluster</h2>
      {view ? (
        <>
          <p class="lead">
            {stale && 'Last known: '}
            {leadershipText(view)} <Fence view={view} />
          </p>
          <ul class="members">
            {view.members.map((member) => (
              <MemberCard key={member.id} member={member} view={view} />
            ))}
          </ul>
        </>
      ) : (
        <p class="quiet">Asking this node for its cluster.</p>
      )}
    </section>
  );
}

function MemberCard({ member, view }: { member: ClusterView['members'][number]; view: ClusterView }) {
  const { value: launched, stale } = services.value;
  const service = stale ? undefined : launched?.services.find(({ name }) => name === member.id);
  const standing = standingOf(member, view, service?.state);
  const isSelf = member.id === view.nodeId;
  return (
    <li class={`member ${standing}`} data-standing={standing}>
      <RoleShape standing={standing} />
      <div>
        <h3>{isSelf ? member.id : <a href={member.publicUrl}>{member.id}</a>}</h3>
        <p class="role">
          {standingTexts[standing]}
          {standing === 'down' && service !== undefined && ` (${service.state})`}
        </p>
        <p class="quiet">{isSelf ? `this page's node, term ${view.term}` : contactText(member, standing)}</p>
      </div>
    </li>
  );
}

function contactText({ lastContactMs }: { lastContactMs: number | null }, standing: Standing): string {
  if (standing === 'unheard') return 'followers hear the leader alone';
  return lastContactMs === null ? 'never heard' : `heard ${formatAge(lastContactMs)} ago`;
}

function Fence({ view: { nodeId, fence, generation } }: { view: ClusterView }) {
  return (
    <>
      {fence ? (
        <span class="quiet">The database takes writes of term {fence.term}.</span>
      ) : (
        <strong class="bad">The database does not answer {nodeId}.</strong>
      )}
      {generation > 1 && <span class="quiet"> Members of generation {generation}.</span>}
    </>
  );
}

/** Filled star: leads. Star with a hole: elected, not writing yet. Triangle: asks for votes. Ring: follows. Cross: gone. */
function RoleShape({ standing }: { standing: Standing }) {
  const star = 'M12 2l3 6.6 7 .8-5.2 4.8 1.4 7L12 17.6 5.8 21.2l1.4-7L2 9.4l7-.8z';
  return (
    <svg class="shape" viewBox="0 0 24 24" aria-hidden="true">
      {standing === 'leader' && <path d={star} />}
      {standing === 'waiting' && <path d={star} fill="none" />}
      {standing === 'candidate' && <path d="M12 4l9 16H3z" fill="none" />}
      {standing === 'follower' && <circle cx="12" cy="12" r="8" fill="none" />}
      {(standing === 'unheard' || standing === 'resigned') && (
        <circle cx="12" cy="12" r="8" fill="none" stroke-dasharray="3 3" />
      )}
      {standing === 'learner' && <rect x="5" y="5" width="14" height="14" fill="none" />}
      {(standing === 'silent' || standing === 'down') && <path d="M5 5l14 14M19 5L5 19" fill="none" />}
    </svg>
  );
}
