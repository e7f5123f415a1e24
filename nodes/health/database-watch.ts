// Looks at the database on behalf of the election: a leader without one hands over to a node that has one.
// Each look is bounded, and there is at most one under way. Never changes a role by itself.
import { describeError } from '../../runtime/failure.ts';
import { oneAtATime } from '../../runtime/one-at-a-time.ts';
import { within } from '../../runtime/waiting.ts';

const lookEveryMs = 200; // Five looks within the second after which a leader hands over.
const answerWithinMs = 800;

export function watchDatabase(options: {
  ping: () => Promise<void>;
  report: (health: { databaseReachable: boolean; fit: boolean; reason: string | null }) => void;
}) {
  const look = oneAtATime(async () => {
    try {
      await within(answerWithinMs, 'a ping', options.ping);
      options.report({ databaseReachable: true, fit: true, reason: null });
    } catch (error) {
      options.report({ databaseReachable: false, fit: true, reason: `database: ${describeError(error)}` });
    }
  });
  void look();
  const timer = setInterval(() => void look(), lookEveryMs);
  return { name: 'database watch', close: (): void => clearInterval(timer) };
}
