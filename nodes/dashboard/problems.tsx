// What is wrong, above everything else, in the words in which the node that shows this page tells it to /health.
import { health } from './state.ts';

export function Problems() {
  const { value, stale } = health.value;
  // A node that does not answer at all has a banner of its own.
  if (!value || stale || value.problems.length === 0) return null;
  return (
    <section class="banner problems" aria-label="Problems">
      <p>
        <strong>What is wrong, as {value.nodeId} sees it</strong>
      </p>
      <ul>
        {value.problems.map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
    </section>
  );
}
