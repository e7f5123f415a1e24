// Options and arguments that several commands have, each with what it refuses.
import { InvalidArgumentError, Option } from 'commander';
import { address, contactSchema } from '../../contracts/environment.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import { userName } from '../../runtime/user-name.ts';
import { dataDefault } from '../instance/command-text.ts';

export function notEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It may not be empty.');
  return text;
}

/** Whatever else it is: a name alone is a slip, and would be told that nothing is there to erase. */
export function mailAddress(text: string): string {
  if (!text.includes('@'))
    throw new InvalidArgumentError('It is no mail address: use the form name@example.org.');
  return text;
}

export function dataOption(): Option {
  return new Option('--data <folder>', 'where everything is kept').argParser(notEmpty).default(dataDefault);
}

export function jsonOption(): Option {
  return new Option('--json', 'one JSON object per line, for programs').default(false);
}

/** Each shop is named: nothing else on this machine or its networks is read for a page that leads there. */
export function privateShopOption(): Option {
  return new Option(
    '--private-shop <host:port>',
    'a shop on this machine or in a private network that may be crawled; may be repeated',
  )
    .argParser((text: string, before: readonly string[]) => {
      if (!address.safeParse(text).success)
        throw new InvalidArgumentError('It looks like 127.0.0.1:8080, as in the URL of the shop.');
      return [...before, text];
    })
    .default([], 'none');
}
export function contactOption(): Option {
  return new Option('--contact <url>', 'where a shop finds who crawls it: told in each request')
    .env('BATON_SCRAPE_CONTACT')
    .argParser((text: string) => {
      const { error } = contactSchema.safeParse(text);
      if (error) throw new InvalidArgumentError(describeIssues(issuesOf(error)));
      return text;
    });
}

/** `about`: what the name is for. */
export function asOption(about: string): Option {
  return new Option('--as <name>', about).argParser(notEmpty).default(userName());
}

export const tailDefault = 200;
export function tailOption(): Option {
  return new Option('--tail <lines>', 'how many').argParser(countOfLines).default(tailDefault);
}
function countOfLines(text: string): number {
  const count = Number(text);
  if (!/^\d{1,6}$/.test(text) || count < 1) throw new InvalidArgumentError('1 to 999999 are possible.');
  return count;
}

/** In milliseconds. */
export function sinceOption(): Option {
  return new Option('--since <time>', 'nothing older, such as 90s, 10m or 2h').argParser(pastTime);
}
function pastTime(text: string): number {
  const { count, unit } = /^(?<count>\d{1,6})(?<unit>[smh])$/.exec(text)?.groups ?? {};
  if (count === undefined) throw new InvalidArgumentError('Write it as 90s, 10m or 2h.');
  return Number(count) * { s: 1_000, m: 60_000, h: 3_600_000 }[unit as 's' | 'm' | 'h'];
}

export function countOfVersions(text: string): number {
  const count = Number(text);
  if (!/^\d{1,2}$/.test(text) || count < 1 || count > versionsMax)
    throw new InvalidArgumentError(`1 to ${versionsMax} are possible.`);
  return count;
}
/** The most that the leader shows. */
const versionsMax = 20;
