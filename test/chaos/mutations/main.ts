// `node test/chaos/mutations/main.ts [name ...]`: takes out each safeguard of the path in turn and shows what finds it
// missing. Exit code 0: each one was missed, and nothing by anything. 1: not so. 2: no such safeguard.
import { takeOut } from '../../simulation/mutations/take-out.ts';
import { control, finderOf } from './finder.ts';
import { pathMutations } from './mutations.ts';

// What it waits for ends with it.
process.once('SIGTERM', () => process.exit(1));
process.exitCode = await takeOut({ mutations: pathMutations, finderOf, control }, process.argv.slice(2));
