// Looks at the database on behalf of the election: a leader without one hands over to a node that has one.
// Each look is bounded, and there is at most one under way. Never changes a role by itself.
import { describeError } from '../runtime/failure.ts';
import { within } from '../runtime/waiting.ts';

const lookEveryMs = 200; // Five looks within the second after which a leader hands over.
const answerWithinMs = 800;

export function watchDatabase(options: {
  ping: () => Promise<void>;
  report: (health: { databaseReachable: boolean; fit: boolean; reason: string | null }) => void;
}) {
  let looking = false;
  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    try {
      await within(answerWithinMs, 'a ping', options.ping);
      options.report({ databaseReachable: true, fit: true, reason: null });
    } catch (error) {
      options.report({ databaseReachable: false, fit: true, reason: `database: ${describeError(error)}` });
    } finally {
      looking = false;
    }
  }
  void look();
  const timer = setInterval(() => void look(), lookEveryMs);
  return { name: 'database watch', close: (): void => clearInterval(timer) };
}
