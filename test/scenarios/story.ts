// A story as text: prose, commands that begin with `> `, and under each command, indented, what it brought about.
// `perform` gives the same text with what the present core does under each command.
import { Stage } from './stage.ts';

/** Whatever a command gives that is none is an error, so that a misspelt one cannot pass for a quiet one. */
class CommandError extends Error {}

type Command = (stage: Stage, words: readonly string[]) => void;

const list = (text = ''): string[] => text.split(',').filter((word) => word !== '');

/** The words of the form name=a,b. */
function named(words: readonly string[]): Map<string, string> {
  return new Map(
    words
      .filter((word) => word.includes('='))
      .map((word): [string, string] => {
        const [name = '', value = ''] = word.split('=');
        return [name, value];
      }),
  );
}
function wholeNumber(text = ''): number {
  if (!/^\d+$/.test(text)) throw new CommandError(`'${text}' is not a whole number`);
  return Number(text);
}

const saidKinds = ['vote-request', 'vote-answer', 'heartbeat', 'transfer-now'] as const;

const commands: Readonly<Record<string, Command>> = {
  // cluster n1 n2 n3 [learners=n4] [unelectable=n3] [together=n1,n2]: these begin with the same patience.
  cluster(stage, words) {
    const options = named(words);
    stage.enter(
      words.filter((word) => !word.includes('=')),
      {
        learners: list(options.get('learners')),
        unelectable: list(options.get('unelectable')),
        together: list(options.get('together')),
      },
    );
  },
  settle: (stage) => stage.settle(),
  // wait 100
  wait: (stage, [ms]) => stage.wait(wholeNumber(ms)),
  // dies n1 [late=n3]: its process ends and the others see it, n3 a little later. silent n1: nobody sees anything.
  dies: (stage, [id = '', ...words]) => stage.end(id, { seen: true, late: list(named(words).get('late')) }),
  silent: (stage, [id = '']) => stage.end(id, { seen: false, late: [] }),
  // start n1 [lost] [term=9] [voted=n1] [generation=2] [voters=n1,n2]
  start(stage, [id = '', ...words]) {
    const options = named(words);
    const generation = options.get('generation');
    const voters = options.get('voters');
    const term = options.get('term');
    stage.start(id, {
      lost: words.includes('lost'),
      ...(term === undefined ? {} : { term: wholeNumber(term) }),
      voted: options.get('voted') ?? null,
      ...(generation === undefined ? {} : { generation: wholeNumber(generation) }),
      ...(voters === undefined ? {} : { voters: list(voters), learners: [] }),
    });
  },
  freeze: (stage, [id = '']) => stage.pause(id),
  thaw: (stage, [id = '']) => stage.resume(id),
  // cut n1,n2 n3: both ways. deaf n3 n1: n3 does not hear n1.
  cut(stage, [one, other]) {
    stage.cut(list(one), list(other));
    stage.cut(list(other), list(one));
  },
  deaf: (stage, [who, whom]) => stage.cut(list(whom), list(who)),
  heal: (stage) => stage.heal(),
  // transfer n1 [n2]: whoever leads is to be named first.
  transfer: (stage, [id = '', target]) => stage.transfer(id, target ?? null),
  // database n1,n2 away
  database: (stage, [ids, how]) => stage.database(list(ids), how !== 'away'),
  // disk n1 full
  disk: (stage, [id = '', how]) => stage.disk(id, how === 'full'),
  // fence n1 7: the database refuses its claim, being in that term.
  fence: (stage, [id = '', term]) => stage.refuseFence(id, wholeNumber(term)),
  // says n3 n1 vote-request 5: what it would not say by itself, or not now.
  says(stage, [from = '', to = '', said = '', term]) {
    const kind = saidKinds.find((one) => one === said);
    if (!kind) throw new CommandError(`'${said}' is none of ${saidKinds.join(', ')}`);
    stage.say(from, to, { kind, term: wholeNumber(term) });
  },
  show: (stage) => stage.show(),
};

/** @throws Error naming the line when a command is none or cannot be carried out. */
export function perform(text: string): string {
  const stage = new Stage();
  const lines: string[] = [];
  let performed = 0;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('  ')) continue;
    lines.push(line);
    if (!line.startsWith('> ')) continue;
    const [name = '', ...words] = line.slice(2).trim().split(/ +/);
    const command = commands[name];
    if (!command)
      throw new CommandError(
        `line ${index + 1}: no command '${name}'; there are ${Object.keys(commands).join(', ')}`,
      );
    try {
      command(stage, words);
    } catch (cause) {
      throw new Error(`line ${index + 1}: ${line}`, { cause });
    }
    performed += 1;
    for (const told of stage.takeLines()) lines.push(`  ${told}`);
  }
  if (performed === 0) throw new CommandError('a story without a command tries nothing');
  return lines.join('\n');
}
