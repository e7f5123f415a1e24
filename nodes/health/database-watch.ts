// Looks at the database on behalf of the election: a leader without one hands over to a node that has one. One that takes no
// writes is none. Each look is bounded, and there is at most one under way. Never changes a role by itself.
import { describeError } from '../../runtime/failure.ts';
import { oneAtATime } from '../../runtime/one-at-a-time.ts';
import { within } from '../../runtime/waiting.ts';

const lookEveryMs = 200; // Five looks within the second after which a leader hands over.
const answerWithinMs = 800;

export function watchDatabase(options: {
  ping: () => Promise<{ readOnly: boolean }>;
  report: (health: { databaseReachable: boolean; fit: boolean; reason: string | null }) => void;
}) {
  let closed = false;
  const report = (problem: string | null): void => {
    const reason = problem === null ? null : `database: ${problem}`;
    // A look that is under way must not speak for a node that ends.
    if (!closed) options.report({ databaseReachable: problem === null, fit: true, reason });
  };
  const look = oneAtATime(async () => {
    try {
      const { readOnly } = await within(answerWithinMs, 'a ping', options.ping);
      report(readOnly ? 'it takes no writes: a standby, or a primary that was demoted' : null);
    } catch (error) {
      report(describeError(error));
    }
  });
  void look();
  const timer = setInterval(() => void look(), lookEveryMs);
  return {
    name: 'database watch',
    close(): void {
      closed = true;
      clearInterval(timer);
    },
  };
}
