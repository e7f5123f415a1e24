// The two other ways to run with containers: our Lambda host in the place of LocalStack's executor, without a Docker socket;
// and LocalStack alone, with all the rest as processes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { docker, findContainer } from '../../emulator/commands/compose-project.ts';
import { eventually, startRunningSystem } from '../support/running-system.ts';
import { baton, dockerAnswers, localstackUrl, status } from './containers.ts';

const withinMs = 120_000;

async function mountsOf(service: string): Promise<string> {
  const { id } = await findContainer(service);
  return await docker('inspect', '--format={{json .Mounts}}', id);
}

describe.skipIf(!dockerAnswers)('with containers (skipped where Docker does not answer)', () => {
  beforeAll(async () => {
    await baton('compose', 'down', '--volumes');
  });
  afterAll(async () => {
    await baton('localstack', 'down');
    await baton('compose', 'down', '--volumes');
  });

  test(
    'BATON_LAMBDA=host: our host runs the functions, items are stored, and no container has the Docker socket',
    { timeout: 1_000_000 },
    async () => {
      const { code, stdout, stderr } = await baton('compose', 'up', '--lambda', 'host');
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/the first \d+ items are stored/);
      const { services } = await status();
      expect(services.map(({ name }) => name)).toContain('lambda');
      for (const { name } of services)
        expect(await mountsOf(name)).not.toContain('"Source":"/var/run/docker.sock"');
      expect(await baton('compose', 'down', '--volumes')).toMatchObject({ code: 0 });
    },
  );

  test(
    'localstack up: the functions stack is deployed, and `npm start` runs on its queues and its table',
    { timeout: 1_000_000 },
    async () => {
      const { code, stderr } = await baton('localstack', 'up');
      expect(code, stderr).toBe(0);
      const system = await startRunningSystem([], { env: { AWS_ENDPOINT_URL: localstackUrl } });
      try {
        await eventually(
          'the first items',
          () => system.status(),
          ({ counts }) => (counts.items ?? 0) > 0,
          withinMs,
        );
        // Announced over its SQS, looked up in its DynamoDB.
        await eventually(
          'the front',
          async () => (await fetch(`${system.ready.front}/items`, { redirect: 'manual' })).status,
          (code) => code === 307,
          withinMs,
        );
      } finally {
        await system.close();
      }
      expect(await baton('localstack', 'down')).toMatchObject({ code: 0 });
    },
  );
});
