import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { problemOf } from '../../../nodes/web/problem-details.ts';
import { Failure } from '../../../runtime/failure.ts';
import { failuresPage, renderFailures } from '../../support/failures-page.ts';

test('docs/failures.md says what contracts/failures.ts says', async () => {
  expect(readFileSync(failuresPage, 'utf8')).toBe(await renderFailures());
});
test('problems: an unexpected error tells the stranger its code and nothing of its cause', () => {
  const problem = problemOf(new Failure('INTERNAL', 'secret path /x', { cause: new Error('secret') }));
  expect(problem).toMatchObject({ status: 500, code: 'INTERNAL' });
  expect(JSON.stringify(problem)).not.toContain('secret');
});
