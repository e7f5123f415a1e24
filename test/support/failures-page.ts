// docs/failures.md as contracts/failures.ts says it. Run as a script it writes the page; a test compares the two.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { failures } from '../../contracts/failures.ts';

export const failuresPage = new URL('../../docs/failures.md', import.meta.url);

export async function renderFailures(): Promise<string> {
  const rows = Object.entries(failures).map(
    ([code, { httpStatus, definite, next, means }]) =>
      `| \`${code}\` | ${httpStatus} | ${definite ? 'yes' : 'no'} | ${next} | ${means} |`,
  );
  const text = [
    '# Failures',
    '',
    'Generated from contracts/failures.ts by `node test/support/failures-page.ts`. *Definite* means that it certainly did not happen; in doubt, a retry carries the same idempotency key.',
    '',
    '| Code | HTTP | Definite | What the caller does | Means |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
  return format(text, { ...(await resolveConfig(fileURLToPath(failuresPage))), parser: 'markdown' });
}

if (import.meta.main) writeFileSync(failuresPage, await renderFailures());
