// What docs/runbook.md tells people to publish by hand is what its reader takes.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fileCommandSchema } from '../../../contracts/file-command.ts';

const page = readFileSync(new URL('../../../docs/runbook.md', import.meta.url), 'utf8');

test('docs/runbook.md: the message that tries a rejected file again is one', () => {
  const section = /^## A file was rejected\n(?<text>.*?)^## /ms.exec(page)?.groups?.['text'] ?? '';
  const body: unknown = JSON.parse(/```json\n(?<body>.*?)```/s.exec(section)?.groups?.['body'] ?? '');
  expect(fileCommandSchema.parse(body)).toMatchObject({ kind: 'retry' });
});
