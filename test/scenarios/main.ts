// `npm run scenarios`: performs every story in this folder, prints it, and says which ones go differently now (exit code 1).
// `npm run scenarios -- --update` writes them as they go now, for a review to read.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { perform } from './story.ts';

const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
const folder = new URL('./', import.meta.url);
let changed = 0;
const names = readdirSync(folder).filter((file) => file.endsWith('.txt'));
for (const name of names) {
  const file = new URL(name, folder);
  const before = readFileSync(file, 'utf8');
  const after = perform(before);
  console.log(`== ${name}\n\n${after}`);
  if (before === after) continue;
  changed += 1;
  if (values.update) writeFileSync(file, after);
  console.log(
    `${name} ${values.update ? 'is written anew' : 'goes differently now: run with --update and read the difference'}`,
  );
}
if (changed === 0) console.log(`${names.length} stories go as they are written in test/scenarios.`);
process.exitCode = changed > 0 && !values.update ? 1 : 0;
