// `baton logs`: the end of what each service printed, also when nothing runs any more.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startCommand } from '../command-text.ts';
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
    process.stderr.write(`There are no logs in ${folder}: \`${startCommand(data)}\` starts it.\n`);
    return exitCodes.nothingRunning;
  }
  const unknown = services.find((service) => !names.includes(service));
  if (unknown !== undefined) {
    process.stderr.write(`There is no log of ${unknown}; there are ${names.join(', ')}.\n`);
    return exitCodes.usage;
  }
  for (const name of services.length > 0 ? services : names) {
    for (const line of await lastLines(join(folder, `${name}${extension}`)))
      process.stdout.write(`${name.padEnd(14)} | ${line}\n`);
  }
  return exitCodes.ok;
}

/** Of the earlier file, too, right after a rotation. */
async function lastLines(file: string): Promise<string[]> {
  const read = async (path: string): Promise<string[]> => {
    const text = (await readFile(path, 'utf8').catch(() => '')).trimEnd();
    return text === '' ? [] : text.split('\n').slice(-linesOfEach);
  };
  const lines = await read(file);
  const earlier = lines.length < linesOfEach ? await read(`${file}.1`) : [];
  return [...earlier, ...lines].slice(-linesOfEach);
}
