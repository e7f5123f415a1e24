// `baton logs`: the end of what each service printed, also when nothing runs any more.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { layoutOf } from '../instance/instance.ts';
import { exitCodes } from './exit-codes.ts';

const linesOfEach = 200;
const extension = '.log';

export async function logs(services: readonly string[], { data }: { data: string }): Promise<number> {
  const folder = layoutOf(data).logs;
  const names = (await readdir(folder).catch(() => []))
    .filter((file) => file.endsWith(extension))
    .map((file) => file.slice(0, -extension.length))
    .sort();
  if (names.length === 0) {
    process.stderr.write(`Nothing has run in ${folder}: \`npm start\` starts it.\n`);
    return exitCodes.nothingRunning;
  }
  const unknown = services.find((service) => !names.includes(service));
  if (unknown !== undefined) {
    process.stderr.write(`There is no log of ${unknown}; there are ${names.join(', ')}.\n`);
    return exitCodes.failed;
  }
  for (const name of services.length > 0 ? services : names) {
    const text = await readFile(join(folder, `${name}${extension}`), 'utf8');
    for (const line of text.trimEnd().split('\n').slice(-linesOfEach))
      process.stdout.write(`${name.padEnd(14)} | ${line}\n`);
  }
  return exitCodes.ok;
}
