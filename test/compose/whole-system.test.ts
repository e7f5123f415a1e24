// `npm run compose -- up` as a user starts it, on whatever images are there under the official names: the functions stack is
// deployed by cdk into LocalStack, the main job runs through it, and goes on while containers are killed, frozen, cut off
// and restarted; then everything is gone. One system for the whole file, in the order of the tests.
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { directoryTable } from '../../contracts/topology.ts';
import { docker, findContainer } from '../../emulator/commands/compose-project.ts';
import type { SystemStatus } from '../../emulator/cluster/status.ts';
import { dropFile } from '../support/ftp-partner.ts';
import { eventually } from '../support/running-system.ts';
import {
  baton,
  change,
  dockerAnswers,
  frontUrl,
  get,
  inboxUrl,
  localstackUrl,
  portOf,
  project,
  secretOf,
  status,
  temporaryFolder,
} from './containers.ts';
import { startLoad, type Load } from './load.ts';

const cluster = 'baton-local'; // As the stage of cdk.json is called.
// Bounds for two processors that others use too; on idle ones all of it takes a tenth.
/** A file waits for the next tick of its rule, at most 60 s after the last, and then for a slow machine. */
const tickWithinMs = 120_000;
const failOverWithinMs = 60_000;
/** LocalStack starts empty and is deployed to. */
const deployedAgainWithinMs = 240_000;
const restartedWithinMs = 120_000;
const perSecond = 50;
/** So many were confirmed at least while all that was broken. */
const messagesMin = 2_000;

interface ListedItem {
  readonly sku: string;
  readonly price: number | null;
}
const items = async (query: string) => (await get<{ items: ListedItem[] }>(`/items?${query}`)).items;

async function drop(name: string, text: string): Promise<void> {
  const secret = JSON.parse(await secretOf('deployer', 'ftp.json')) as { username: string; password: string };
  const url = `ftp://127.0.0.1:${portOf('BATON_PORT_FTP')}`;
  await dropFile({ ...secret, url, ca: await secretOf('deployer', 'ca.pem') }, name, text);
}

async function whoDirectoryNames(): Promise<string | undefined> {
  const dynamodb = new DynamoDBClient({
    region: 'us-east-1',
    endpoint: localstackUrl,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  try {
    const { Item } = await dynamodb.send(
      new GetItemCommand({
        TableName: directoryTable.name,
        Key: { [directoryTable.key]: { S: cluster } },
        ConsistentRead: true,
      }),
    );
    return Item?.['nodeId']?.S;
  } finally {
    dynamodb.destroy();
  }
}

/** Where the front leads to. */
async function whereFrontLeads(): Promise<string> {
  const { statusCode, headers, body } = await request(`${frontUrl}/items?limit=1`);
  await body.dump();
  return `${statusCode} ${String(headers['location'])}`;
}
const leaderUrl = async (): Promise<string> => {
  const { leader, nodes } = await status();
  return nodes.find(({ id }) => id === leader)?.url ?? 'nobody leads';
};

describe.skipIf(!dockerAnswers)('the system in containers (skipped where Docker does not answer)', () => {
  beforeAll(async () => {
    await baton('compose', 'down', '--volumes'); // Of a run that was cut off.
  });
  afterAll(async () => {
    await baton('compose', 'down', '--volumes');
  });

  test(
    'up: says when a leader is there, when the first items are stored and when all is healthy',
    { timeout: 920_000 },
    async () => {
      // Two partitions of items: with one, half of what follows would arrive in the same way.
      const { code, stdout, stderr } = await baton('compose', 'up', '--item-partitions', '2');
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/\d\.\d s {2}node-\d leads in term \d+/);
      expect(stdout).toMatch(/\d\.\d s {2}the first \d+ items are stored/);
      const said = stdout.split('\n').filter((line) => /^ +\d+\.\d s /.test(line));
      process.stdout.write(`${said.join('\n')}\n`);
    },
  );

  describe('the whole path', () => {
    test('three nodes run, one leads, and every service is up', async () => {
      const { code, stdout } = await baton('status', '--json', '--target', 'compose');
      expect(code).toBe(0);
      const { nodes, services } = JSON.parse(stdout) as SystemStatus;
      expect(nodes.map(({ id }) => id)).toEqual(['node-1', 'node-2', 'node-3']);
      expect(nodes.filter(({ state }) => state === 'leading')).toHaveLength(1);
      expect(services.length).toBeGreaterThan(10);
      expect(services.filter(({ state }) => state !== 'up')).toEqual([]);
      const logs = await baton('compose', 'logs', 'event-sources');
      expect([logs.code, logs.stdout]).toEqual([0, expect.stringContaining('consuming')]);
    });

    test('items of the shop pass RabbitMQ, the function in LocalStack and the leader, and are rows', async () => {
      await eventually(
        'items of the shop',
        () => items('source=demo-shop&limit=100'),
        (rows) => rows.length >= 50,
        60_000,
      );
    });

    test('an item shows its way, and dead letters can be looked at, from outside of the containers', async () => {
      const [row] = await items('source=demo-shop&limit=1');
      const traced = await baton('trace', `demo-shop/${row?.sku}`, '--json', '--target', 'compose');
      expect(traced.code, traced.stderr).toBe(0);
      expect(JSON.parse(traced.stdout)).toMatchObject({ source: 'demo-shop', sku: row?.sku });
      expect(await baton('dlq', 'actions', '--target', 'compose')).toMatchObject({ code: 0, stderr: '' });
      expect(await baton('dlq', 'list', '--target', 'compose')).toMatchObject({ code: 0, stderr: '' });
    });

    test('an announcement passes SQS FIFO and the function in LocalStack: the directory in DynamoDB names the leader', async () => {
      await eventually(
        'the leader in the directory',
        async () => [await whoDirectoryNames(), (await status()).leader],
        ([named, leader]) => named !== undefined && named === leader,
      );
    });

    test('the front leads to the leader, path and query kept', async () => {
      await eventually(
        'a redirect',
        async () => [await whereFrontLeads(), `307 ${await leaderUrl()}/items?limit=1`],
        ([seen, wanted]) => seen === wanted,
      );
    });

    test(
      'a file dropped over FTPS on vsftpd becomes rows by the tick of the rule',
      { timeout: 150_000 },
      async () => {
        await drop(
          'demo-partner_first.csv',
          'sku,title,price,currency,inStock\np1,First,10.50,EUR,true\np2,Second,20,EUR,false\n',
        );
        const rows = await eventually(
          'two rows',
          () => items('source=demo-partner'),
          (all) => all.length === 2,
          tickWithinMs,
        );
        expect(rows.map(({ sku, price }) => [sku, price])).toEqual([
          ['p1', 10.5],
          ['p2', 20],
        ]);
      },
    );

    test(
      'a price drop is a mail in the inbox, and the function can be invoked by hand',
      { timeout: 300_000 },
      async () => {
        await change('POST', '/watches', { email: 'one@example.test', source: 'demo-partner', sku: 'p1' });
        await drop('demo-partner_cheaper.csv', 'sku,title,price,currency,inStock\np1,First,7.25,EUR,true\n');
        const tick = 'test/support/events/sqs-tick.json';
        process.env['AWS_ENDPOINT_URL_LAMBDA'] = localstackUrl;
        const { code, stderr } = await baton('invoke', 'ftp-sync', '--event', tick);
        expect(code, stderr).toBe(0);
        await eventually(
          'the mail',
          async () => {
            const { body } = await request(`${inboxUrl}/api/mails`);
            return JSON.stringify(await body.json());
          },
          (mails) => mails.includes('one@example.test') && mails.includes('7.25'),
          tickWithinMs,
        );
      },
    );
  });

  describe('under fire, while messages are published', () => {
    let running: Load;
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    beforeAll(async () => {
      folder = await temporaryFolder();
      running = await startLoad({ folder: folder.path, perSecond });
      await rowsGoOn();
    });
    afterAll(async () => {
      running?.stop();
      await folder?.[Symbol.asyncDispose]();
    });

    /** The main job runs: what is published now becomes rows now. */
    async function rowsGoOn(withinMs = restartedWithinMs): Promise<void> {
      const before = await eventually('the database', running.applied, () => true, withinMs);
      await eventually('more rows', running.applied, (now) => now > before, withinMs);
    }
    async function leads({ notAnyMore = '' } = {}): Promise<{ leader: string; term: number }> {
      const { leader, term } = await eventually(
        notAnyMore === '' ? 'a leader' : `another leader than ${notAnyMore}`,
        status,
        (seen) => seen.leader !== null && seen.leader !== notAnyMore,
        failOverWithinMs,
      );
      return { leader: leader ?? '', term: term ?? 0 };
    }
    async function follows(node: string): Promise<void> {
      await eventually(
        `${node} as a follower`,
        status,
        ({ nodes }) => nodes.some(({ id, state }) => id === node && state === 'following'),
        restartedWithinMs,
      );
    }
    async function backUp(service: string, withinMs = restartedWithinMs): Promise<void> {
      await eventually(
        `${service} up`,
        status,
        ({ services }) => services.some(({ name, state }) => name === service && state === 'up'),
        withinMs,
      );
    }

    test(
      'the leader is killed: another one leads, the killed one is started again and follows',
      { timeout: 300_000 },
      async () => {
        const { leader: killed } = await leads();
        expect(await baton('kill', killed, '--target', 'compose')).toMatchObject({ code: 0 });
        await leads({ notAnyMore: killed });
        await rowsGoOn();
        await follows(killed);
        const { services } = await status();
        expect(services.find(({ name }) => name === killed)?.restarts).toBeGreaterThan(0);
      },
    );

    test(
      'the leader is frozen: another one leads, and the woken one follows it',
      { timeout: 300_000 },
      async () => {
        const { leader: frozen } = await leads();
        expect(await baton('pause', frozen, '--target', 'compose')).toMatchObject({ code: 0 });
        await leads({ notAnyMore: frozen });
        await rowsGoOn();
        expect(await baton('resume', '--target', 'compose')).toMatchObject({ code: 0 });
        await follows(frozen);
      },
    );

    test(
      'the leader is cut off from the votes and not from the database: another one leads',
      { timeout: 300_000 },
      async () => {
        const { leader: cutOff, term } = await leads();
        const votes = `${project}_votes`;
        const { id } = await findContainer(cutOff);
        await docker('network', 'disconnect', votes, id);
        try {
          expect((await leads({ notAnyMore: cutOff })).term).toBeGreaterThan(term);
          await rowsGoOn();
        } finally {
          await docker('network', 'connect', '--alias', cutOff.replace('node', 'votes'), votes, id);
        }
        await follows(cutOff);
      },
    );

    test.each(['broker', 'database'])('%s is killed: rows go on', { timeout: 300_000 }, async (service) => {
      expect(await baton('kill', service, '--target', 'compose')).toMatchObject({ code: 0 });
      await backUp(service);
      await rowsGoOn();
    });

    test(
      'LocalStack is killed and has forgotten all: it is deployed to again, and the directory and rows go on',
      { timeout: 700_000 },
      async () => {
        expect(await baton('kill', 'localstack', '--target', 'compose')).toMatchObject({ code: 0 });
        await eventually(
          'the directory, which was gone',
          whoDirectoryNames,
          (named) => named !== undefined,
          deployedAgainWithinMs,
        );
        await rowsGoOn(deployedAgainWithinMs);
        await eventually(
          'the front',
          whereFrontLeads,
          (seen) => seen.startsWith('307 '),
          deployedAgainWithinMs,
        );
      },
    );

    test('nothing is lost and nothing is doubled', { timeout: 300_000 }, async () => {
      await running.finish();
      const { findings, counts } = await running.verdict();
      process.stdout.write(`${JSON.stringify(counts)}\n`);
      expect(findings).toEqual([]);
      expect(counts['confirmed']).toBe(counts['messages']);
      expect(counts['confirmed']).toBeGreaterThan(messagesMin);
    });
  });

  test('down: leaves no container, no network and no volume', { timeout: 90_000 }, async () => {
    const { code, stderr } = await baton('compose', 'down', '--volumes');
    expect(code, stderr).toBe(0);
    const ours = `--filter=label=com.docker.compose.project=${project}`;
    expect(await docker('ps', '--all', '--quiet', ours)).toBe('');
    expect(await docker('network', 'ls', '--quiet', ours)).toBe('');
    expect(await docker('volume', 'ls', '--quiet', ours)).toBe('');
    expect(await baton('compose', 'status')).toMatchObject({ code: 3 });
  });
});
