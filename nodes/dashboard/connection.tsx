// Whether what is shown is live, and where to look when this node does not answer. Other members are offered as links:
// a page that jumped by itself would lose its reader's place, and bounce while a cluster restarts.
import { formatClock } from './format.ts';
import { cluster, connection, silentSince } from './state.ts';

const texts = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting' };

export function ConnectionBadge() {
  const state = connection.value;
  return (
    <p class={`badge ${state}`} data-connection={state}>
      <svg viewBox="0 0 12 12" aria-hidden="true">
        {state === 'live' ? (
          <circle cx="6" cy="6" r="5" />
        ) : (
          <path d="M6 1a5 5 0 1 0 5 5" fill="none" stroke-width="2" />
        )}
      </svg>
      {texts[state]}
    </p>
  );
}

export function LostBanner() {
  const since = silentSince.value;
  if (since === undefined || connection.value !== 'reconnecting') return null;
  const view = cluster.value.value;
  const others = view?.members.filter(({ id }) => id !== view.nodeId) ?? [];
  return (
    <div class="banner">
      <p>
        <strong>{view?.nodeId ?? 'This node'} does not answer</strong> since{' '}
        <time>{formatClock(new Date(since).toISOString())}</time>. This page shows what it said last, and goes
        on by itself when it is back.
      </p>
      {others.length > 0 && (
        <p>
          The other members show the same cluster:{' '}
          {others.map(({ id, publicUrl }, index) => (
            <>
              {index > 0 && ', '}
              <a href={`${publicUrl}/${location.hash}`}>{id}</a>
            </>
          ))}
        </p>
      )}
    </div>
  );
}
