// Breaking the system from its page, where a launcher runs it: the same commands as `baton chaos`, the usual ones as
// buttons. What is in force stands beside them, and heals by itself.
import { signal } from '@preact/signals';
import type { FaultsView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { cluster, connection, faults, silentSince } from './state.ts';

const usual = [
  { name: 'Kill the leader', command: 'kill leader' },
  { name: 'Freeze the leader for 10 s', command: 'pause leader for 10s' },
  { name: 'Cut the leader off for 10 s', command: 'partition leader for 10s' },
  { name: 'Lose 30 % of all datagrams for 20 s', command: 'loss all 30% for 20s' },
  { name: 'Kill the broker', command: 'kill broker' },
  { name: 'Kill the database', command: 'kill database' },
] as const;
const answerWithinMs = 8_000;
/** Of a node that is killed or frozen by what it passes on. */
const lastAnswerWithinMs = 2_000;

interface Outcome {
  readonly text: string;
  readonly isBad: boolean;
  /** The node that shows this page, when it was struck before it could answer. */
  readonly struck?: string;
}
const outcome = signal<Outcome | undefined>(undefined);
const asking = signal(false);

export function Faults() {
  const { value: view } = faults.value;
  if (!view?.possible) return null;
  return (
    <details class="faults">
      <summary>Break it</summary>
      {view.mayBreak ? (
        <Commands inForce={view.inForce} />
      ) : (
        <p class="quiet">
          Only an operator may: <code>npm run baton -- open</code> prints a link that opens this page as one.
        </p>
      )}
    </details>
  );
}

function Commands({ inForce }: Pick<FaultsView, 'inForce'>) {
  return (
    <>
      <p class="buttons">
        {usual.map(({ name, command }) => (
          <button
            type="button"
            key={command}
            title={command}
            disabled={asking.value}
            onClick={() => void say(command)}
          >
            {name}
          </button>
        ))}
      </p>
      <form
        class="controls"
        onSubmit={(event) => {
          event.preventDefault();
          const command = new FormData(event.currentTarget).get('command');
          if (typeof command === 'string') void say(command);
        }}
      >
        <label>
          <span>
            Or say it, as to <code>baton chaos</code>
          </span>
          <input name="command" required maxLength={500} placeholder="delay node-1 20ms+-5 for 30s" />
        </label>
        <button type="submit" disabled={asking.value}>
          Break
        </button>
      </form>
      <p role="status" class={`outcome${outcome.value?.isBad ? ' bad' : ''}`}>
        {outcome.value?.text}
        {outcome.value?.struck !== undefined && <Struck node={outcome.value.struck} />}
      </p>
      {inForce.length > 0 && (
        <div class="in-force">
          <ul>
            {inForce.map((fault) => (
              <li key={fault}>{fault}</li>
            ))}
          </ul>
          <button type="button" disabled={asking.value} onClick={() => void say('heal')}>
            Heal all
          </button>
        </div>
      )}
    </>
  );
}

function Struck({ node }: { node: string }) {
  return connection.value === 'live' ? (
    <> It struck {node}, which shows this page and is back.</>
  ) : (
    <> It struck {node}, which shows this page and so could not answer. The page goes on when it is back.</>
  );
}

async function say(command: string): Promise<void> {
  const struck = nodeStruckBy(command);
  asking.value = true;
  outcome.value = { text: `Sent: ${command}.`, isBad: false };
  try {
    const response = await fetch(publicRoutes.faults, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ command }),
      signal: AbortSignal.timeout(struck === undefined ? answerWithinMs : lastAnswerWithinMs),
    });
    const answer = (await response.json()) as { done?: string; detail?: string };
    outcome.value = {
      text: answer.done ?? answer.detail ?? `answered ${response.status}`,
      isBad: !response.ok,
    };
  } catch {
    if (struck === undefined)
      outcome.value = { text: `${command}: no answer, so nobody knows whether it was done.`, isBad: true };
    else {
      silentSince.value ??= Date.now();
      outcome.value = { text: `Sent: ${command}.`, isBad: false, struck };
    }
  } finally {
    asking.value = false;
  }
}

/** The node that shows this page, if it answers now and the command ends or freezes it. */
function nodeStruckBy(command: string): string | undefined {
  const { value: view } = cluster.value;
  const [action, target] = command.trim().split(/\s+/);
  if (!view || connection.value !== 'live' || (action !== 'kill' && action !== 'pause')) return undefined;
  const name = target === 'leader' ? view.leader?.nodeId : target;
  return name === view.nodeId ? name : undefined;
}
