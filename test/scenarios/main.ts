// `npm run scenarios`: performs every story in this folder and says which ones go differently now (exit code 1).
// `npm run scenarios -- --update` writes them as they go now, for a review to read.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { perform } from './story.ts';

const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
const folder = new URL('./', import.meta.url);
let changed = 0;
for (const name of readdirSync(folder).filter((file) => file.endsWith('.txt'))) {
  const file = new URL(name, folder);
  const before = readFileSync(file, 'utf8');
  const after = perform(before);
  if (before === after) continue;
  changed += 1;
  if (values.update) writeFileSync(file, after);
  console.log(
    `${name} ${values.update ? 'is written anew' : 'goes differently now: run with --update and read the difference'}`,
  );
}
process.exitCode = changed > 0 && !values.update ? 1 : 0;
