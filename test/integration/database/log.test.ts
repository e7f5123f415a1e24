// What a database on AWS logs of a slow statement (cdk/data-stack.ts): which one it was, and no value that it was about.
import { expect, test, vi } from 'vitest';
import { openDatabase } from '../../../nodes/database/database.ts';
import { startTestPostgres } from '../../support/postgres.ts';
import { lead } from './fresh-database.ts';

test('log: watching and forgetting an address leave none of it, however slow they are', async () => {
  // Every statement is slow enough.
  const server = await startTestPostgres({ log_min_duration_statement: '0', log_parameter_max_length: '0' });
  const database = openDatabase({
    url: server.url,
    password: async () => server.password,
    ca: server.ca,
    applicationName: 'node-1',
  });
  try {
    await database.migrate();
    const { store } = database;
    await lead(store);
    await store.putWatch(1, { email: 'ann@example.test', about: 'prices', source: null, sku: null });
    await store.eraseAddress(1, 'ann@example.test');
    await vi.waitFor(() => expect(server.log()).toMatch(/put_watch[^]*erase_address/));
    expect(server.log()).not.toContain('ann@');
  } finally {
    await database.close();
    await server.close();
  }
});
