import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { nodes } from '../../../contracts/topology.ts';

test('the image starts a node with the flags that it has on a laptop', async () => {
  const dockerfile = await readFile(new URL('../../../nodes/Dockerfile', import.meta.url), 'utf8');
  const command = /^CMD (?<command>.+)$/m.exec(dockerfile)?.groups?.['command'] ?? '';
  expect(JSON.parse(command)).toEqual([
    'node',
    '--disable-warning=ExperimentalWarning',
    ...nodes.flags,
    'nodes/main.ts',
  ]);
});
