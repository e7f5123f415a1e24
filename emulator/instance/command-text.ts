// Commands as they have to be typed in another terminal, for the system of a data folder: without the folder they would mean
// the one of `.baton`, which may be another system.
import { resolve } from 'node:path';

export const dataDefault = '.baton';

/** `npm run baton -- <words>` for the system in `folder`. */
export const batonCommand = (words: string, folder: string): string =>
  `npm run baton -- ${words}${dataText(folder)}`;

export const startCommand = (folder: string): string => {
  const data = dataText(folder);
  return data === '' ? 'npm start' : `npm start --${data}`;
};

function dataText(folder: string): string {
  return resolve(folder) === resolve(dataDefault) ? '' : ` --data ${quoted(folder)}`;
}

/** For a shell. */
function quoted(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
