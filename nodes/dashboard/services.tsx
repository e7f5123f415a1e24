// What the launcher of a laptop runs beside the nodes: broker, database, functions and the rest. Elsewhere there is no
// launcher, and nothing is shown.
import type { ServicesView } from '../../contracts/public-api.ts';
import { cluster, services, silentSince } from './state.ts';

type Service = ServicesView['services'][number];

export function Services() {
  const { value, stale } = services.value;
  const members = cluster.value.value?.members ?? [];
  const shown = value?.services.filter(({ name }) => !members.some(({ id }) => id === name)) ?? [];
  if (shown.length === 0) return null;
  return (
    <section aria-labelledby="services-title" class={`services${stale ? ' stale' : ''}`}>
      <h2 id="services-title">Services</h2>
      {stale && silentSince.value === undefined && (
        <p class="warning">The launcher does not answer. Last known:</p>
      )}
      <ul>
        {shown.map((service) => (
          <ServiceCard key={service.name} service={service} />
        ))}
      </ul>
    </section>
  );
}

function ServiceCard({ service }: { service: Service }) {
  const { name, state, address, restarts, lastEnd } = service;
  const isUp = state === 'up';
  return (
    <li class={isUp ? 'up' : 'down'} data-service={name}>
      <p>
        <svg viewBox="0 0 12 12" aria-hidden="true">
          {isUp ? <circle cx="6" cy="6" r="4" /> : <path d="M2 2l8 8M10 2l-8 8" />}
        </svg>
        <strong>{name}</strong> <span class="state">{state}</span>
      </p>
      <p class="quiet address">
        {address.split(' ').map((part) => (
          <span key={part}>{/^https?:/.test(part) ? <a href={part}>{part}</a> : part}</span>
        ))}
      </p>
      {(restarts > 0 || !isUp) && lastEnd !== null && (
        <p class="quiet ended" title={lastEnd}>
          {lastEnd}
          {restarts > 0 && `; restarted ${restarts === 1 ? 'once' : `${restarts} times`}`}
        </p>
      )}
    </li>
  );
}
