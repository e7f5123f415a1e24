// The main job on real input, started as a user starts it: a shop is scraped, its items pass RabbitMQ's protocol, the
// functions and the leader into PostgreSQL, a partner's files arrive by FTPS, mails go out when prices drop; and all of
// it goes on while the leader and every service is killed. One system for the whole file, in the order of the tests.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { itemVersion } from '../../contracts/ids.ts';
import { identify } from '../../emulator/instance/process-table.ts';
import { item } from '../integration/database/fresh-database.ts';
import { withFtp } from '../support/ftp-partner.ts';
import { connectToBrokerOf, enterSourceByHand, publishPage } from '../support/publish-page.ts';
import { aLeader, eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const run = promisify(execFile);
// `BATON_TEST_BROKER=rabbitmq` runs the same against the real one.
const broker = process.env['BATON_TEST_BROKER'] ?? 'development';
let system: RunningSystem;

beforeAll(async () => {
  system = await startRunningSystem(['--broker', broker]);
});
afterAll(async () => {
  await system?.close();
});

interface ListedItem {
  source: string;
  sku: string;
  version: number;
  price: number | null;
  title: string;
}
interface ListedFile {
  name: string;
  state: string;
  reason: string | null;
  rows: number | null;
}

const namesIn = async (folder: string) =>
  withFtp(await system.ftp(), async (ftp) => (await ftp.list(folder)).map(({ name }) => name));
const files = async () => (await system.get<{ files: ListedFile[] }>('/files')).files;
async function mailsTo(address: string): Promise<{ subject: string }[]> {
  const { body } = await request(`${system.ready.inbox}/api/mails`);
  const { mails } = (await body.json()) as { mails: { subject: string; to: string[] }[] };
  return mails.filter(({ to }) => to.includes(address));
}
/** Where the front leads to. */
async function whereFrontLeads(): Promise<unknown> {
  const { headers, body } = await request(`${system.ready.front}/items`);
  await body.dump();
  return headers['location'];
}
const items = (query: string) => system.get<{ items: ListedItem[] }>(`/items?${query}`);

describe('the whole path', () => {
  test('three nodes run, one leads, and every service is up', async () => {
    const status = await aLeader(system);
    expect(status.nodes).toHaveLength(3);
    expect(status.nodes.filter(({ state }) => state === 'leading')).toHaveLength(1);
    expect(status.services.filter(({ state }) => state !== 'up')).toEqual([]);
  });

  test('the shop is scraped: its items are rows, and the page lists them', async () => {
    await eventually(
      'items of the shop',
      () => items('source=demo-shop&limit=100'),
      ({ items }) => items.length >= 50,
      60_000,
    );
  });

  test('the crawl file reconciles: it differs in nothing from what the messages delivered', async () => {
    const crawlFile = await eventually(
      'the crawl file in the ledger',
      files,
      (all) => all.some(({ name, state }) => name.startsWith('demo-shop_crawl-') && state !== 'opened'),
      60_000,
    );
    const ledger = crawlFile.find(({ name }) => name.startsWith('demo-shop_crawl-')) as ListedFile & {
      differences?: number;
    };
    expect(ledger).toMatchObject({ state: expect.stringMatching(/applied|moved/), differences: 0 });
  });

  test('a partner\u2019s file becomes rows and lands in done/', async () => {
    await system.drop(
      'demo-partner_today.csv',
      '\ufeffsku,title,price,currency,inStock\r\np1,First,10.50,EUR,true\r\np2,Second,20,EUR,false\r\n',
    );
    // As if nothing had been written to it for a minute: the next tick takes it.
    const aMinuteAgo = new Date(Date.now() - 60_000);
    await utimes(
      join(system.folder, '.baton', 'data', 'ftp', 'in', 'demo-partner_today.csv'),
      aMinuteAgo,
      aMinuteAgo,
    );
    const { items: rows } = await eventually(
      'two rows',
      () => items('source=demo-partner'),
      ({ items }) => items.length === 2,
      60_000,
    );
    expect(rows.map(({ sku, price }) => [sku, price])).toEqual([
      ['p1', 10.5],
      ['p2', 20],
    ]);
    await eventually(
      'the file in done/',
      () => namesIn('/done'),
      (names) => names.some((name) => /^demo-partner_today\.baton-[0-9a-f-]{36}\.csv$/.test(name)),
    );
  });

  test('a broken file lands in rejected/ with its reason beside it', async () => {
    await system.drop('demo-partner_broken.csv', 'sku,title\nonly-one-column\nanother\n');
    await system.syncNow();
    const names = await eventually(
      'the file in rejected/',
      () => namesIn('/rejected'),
      (all) => all.some((name) => /^demo-partner_broken\.baton-[0-9a-f-]{36}\.csv$/.test(name)),
      60_000,
    );
    const [file] = names.filter((name) => name.endsWith('.csv') && name.startsWith('demo-partner_broken.'));
    expect(names).toContain(`${file}.reason.txt`);
    const rejected = (await files()).find(({ name }) => name === 'demo-partner_broken.csv');
    expect(rejected?.reason).toMatch(/\S/);
  });

  test('a price drop is one mail to its watcher', async () => {
    await system.change('POST', '/watches', { email: 'one@example.test', source: 'demo-partner', sku: 'p1' });
    await system.drop(
      'demo-partner_cheaper.csv',
      'sku,title,price,currency,inStock\np1,First,7.25,EUR,true\n',
    );
    await system.syncNow();
    const mine = () => mailsTo('one@example.test');
    await eventually('the mail', mine, (mails) => mails.length > 0, 60_000);
    // A second one would come from the next round of matching or a redelivery.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const mails = await mine();
    expect(mails).toHaveLength(1);
    expect(mails[0]?.subject).toContain('7.25');
  });

  test('the export lies in out/ as CSV and NDJSON', async () => {
    const { operator } = await system.secret<{ operator: string }>('tokens.json');
    const answer = await request(`${await system.leaderUrl()}/export`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operator}` },
    });
    expect(answer.statusCode).toBe(202);
    await answer.body.dump();
    await eventually(
      'both files in out/',
      () => namesIn('/out'),
      (names) => names.includes('items.csv') && names.includes('items.ndjson'),
      60_000,
    );
  });

  test('the front redirects to the leader, path and query kept', async () => {
    const answer = await eventually(
      'a redirect',
      () => request(`${system.ready.front}/items?limit=1`),
      ({ statusCode }) => statusCode === 307,
    );
    await answer.body.dump();
    expect(answer.headers['location']).toBe(`${await system.leaderUrl()}/items?limit=1`);
  });
});

describe('under fire', () => {
  test('kill -9 of the leader: another takes writes, and the front leads to it', async () => {
    const before = await aLeader(system);
    expect((await system.baton('kill', 'leader')).code).toBe(0);
    const after = await eventually(
      'another leader',
      () => system.status(),
      ({ leader, term }) => leader !== null && leader !== before.leader && (term ?? 0) > (before.term ?? 0),
      20_000,
    );
    // How soon is measured on a quiet machine: docs/performance.md.
    await enterSourceByHand(system, 'published');
    const url = after.nodes.find(({ id }) => id === after.leader)?.url;
    await eventually(
      'the front at the new leader',
      whereFrontLeads,
      (location) => location === `${url}/items`,
    );
  });

  test('a leader that is frozen and wakes up later follows the one that took over, and nothing it held is written', async () => {
    const before = await aLeader(system);
    const frozen = before.leader ?? '';
    expect((await system.baton('pause', 'leader')).code).toBe(0);
    const during = await eventually(
      'another leader',
      () => system.status(),
      ({ leader }) => leader !== null && leader !== frozen,
      20_000,
    );
    expect((await system.baton('resume', frozen)).code).toBe(0);
    const after = await eventually(
      'the woken one as a follower of the new term',
      () => system.status(),
      ({ nodes }) =>
        nodes.some(({ id, state, term }) => id === frozen && state === 'following' && term === during.term),
      20_000,
    );
    expect(after.leader).toBe(during.leader);
  });

  test('two of three nodes down: the front says 503, and comes back with them', async () => {
    const { leader, nodes } = await aLeader(system);
    const others = nodes.filter(({ id }) => id !== leader).map(({ id }) => id);
    // Frozen, since a killed one is back within a second.
    for (const id of others) expect((await system.baton('pause', id)).code).toBe(0);
    const answer = await eventually(
      '503',
      async () => {
        const front = await request(`${system.ready.front}/items`);
        return {
          status: front.statusCode,
          retryAfter: front.headers['retry-after'],
          text: await front.body.text(),
        };
      },
      ({ status }) => status === 503,
      30_000,
    );
    expect(answer.retryAfter).toBeDefined();
    for (const id of others) expect((await system.baton('resume', id)).code).toBe(0);
    await eventually(
      'a leader again',
      () => system.status(),
      ({ leader: again }) => again !== null,
      30_000,
    );
  });

  /** Through RabbitMQ, its event source, the Lambda host, the leader and PostgreSQL. */
  async function pageBecomesRow(sku: string, price = 5): Promise<void> {
    const broker = await connectToBrokerOf(system);
    const page = pages++;
    const row = {
      ...item(sku, itemVersion({ intake: 1, ordinal: page }), { price }),
      source: 'published',
    };
    try {
      await eventually(
        'a confirmed publish',
        () => publishPage(broker, { page, items: [row] }),
        () => true,
      );
    } finally {
      await broker.close();
    }
    await eventually(
      `the row of ${sku}`,
      () => items(`source=published&q=${sku}`),
      ({ items }) => items.some((one) => one.sku === sku && one.price === price),
      60_000,
    );
  }
  let pages = 0;
  async function fileBecomesRow(sku: string): Promise<void> {
    const rows = `sku,title,price,currency,inStock\n${sku},After,5,EUR,true\n`;
    await eventually(
      'the drop',
      () => system.drop(`demo-partner_${sku}.csv`, rows),
      () => true,
    );
    await eventually(
      'a sync',
      () => system.syncNow(),
      () => true,
      60_000,
    );
    await eventually(
      'its row',
      () => items(`source=demo-partner&q=After`),
      ({ items }) => items.some((item) => item.sku === sku),
      100_000,
    );
  }
  async function priceDropIsMailed(sku: string): Promise<void> {
    const email = `${sku}@example.test`;
    await system.change('POST', '/watches', { email, source: 'published', sku });
    await pageBecomesRow(sku, 20); // Two versions in one batch would be one row, and no drop.
    await pageBecomesRow(sku, 10);
    await eventually(
      'the mail',
      () => mailsTo(email),
      (mails) => mails.length === 1,
      60_000,
    );
  }
  /** Over SQS into the directory in DynamoDB, where the front looks it up. */
  async function newLeaderIsAnnounced(): Promise<void> {
    const { leader: before } = await aLeader(system);
    await eventually(
      'a hand-over',
      () => system.baton('transfer'),
      ({ code }) => code === 0,
    );
    await eventually(
      'the front at the new leader',
      async () => ({ status: await aLeader(system), location: await whereFrontLeads() }),
      ({ status: { leader, nodes }, location }) =>
        leader !== before && location === `${nodes.find(({ id }) => id === leader)?.url}/items`,
      60_000,
    );
  }

  // Each by what passes through it: that the supervisor says it is up says nothing about its work.
  test.each([
    { service: 'broker', works: 'a published page becomes a row', proof: pageBecomesRow },
    { service: 'database', works: 'a published page becomes a row', proof: pageBecomesRow },
    { service: 'lambda', works: 'a published page becomes a row', proof: pageBecomesRow },
    { service: 'event-sources', works: 'a published page becomes a row', proof: pageBecomesRow },
    { service: 'ftp', works: 'a dropped file becomes a row', proof: fileBecomesRow },
    { service: 'smtp', works: 'a price drop is mailed', proof: priceDropIsMailed },
    {
      service: 'aws',
      works: 'a new leader is announced, and the front leads to it',
      proof: newLeaderIsAnnounced,
    },
  ])('kill -9 of $service: it is started again, and $works', async ({ service, proof }) => {
    await enterSourceByHand(system, 'published');
    const restartsOf = async () => {
      const view = (await system.status()).services.find(({ name }) => name === service);
      return view?.state === 'up' ? view.restarts : 0;
    };
    const before = await restartsOf();
    expect((await system.baton('kill', service)).code).toBe(0);
    await eventually(`${service} up again`, restartsOf, (restarts) => restarts > before, 60_000);
    await proof(`after-${service}`);
  });

  test('nothing is lost and nothing is doubled: at rest the queues are empty, and feed and history hold what was counted', async () => {
    await eventually(
      'empty queues, and no dead letter',
      () => system.status(),
      ({ counts }) => counts.queued === 0 && counts.deadLetters === 0,
      90_000,
    );
    // One statement, so one state of the database. A change that came twice would be two events of one version.
    const [stored] = await system.query<{ events: number }>(`SELECT
      (items - (SELECT count(*) FROM items))::int AS "items counted and not there",
      (item_versions - (SELECT count(*) FROM item_versions))::int AS "versions counted and not there",
      (last - (SELECT count(*) FROM feed))::int AS "events numbered and not there",
      (SELECT count(*) FROM (SELECT FROM feed GROUP BY source, sku, item_version HAVING count(*) > 1))::int AS "events told twice",
      (SELECT count(*) FROM feed LEFT JOIN item_versions AS v ON (v.source, v.sku, v.version) = (feed.source, feed.sku, item_version)
        WHERE v.version IS NULL)::int AS "events without a version",
      last::int AS events
      FROM feed_head`);
    expect(stored).toEqual({
      'items counted and not there': 0,
      'versions counted and not there': 0,
      'events numbered and not there': 0,
      'events told twice': 0,
      'events without a version': 0,
      events: expect.any(Number) as number,
    });
    expect(stored?.events).toBeGreaterThan(50);
  });
});

describe('other clients', () => {
  test.skipIf(!existsSync('/usr/bin/lftp'))(
    'a file dropped by lftp (skipped where lftp is not installed) becomes a row',
    async () => {
      const { username, password } = await system.secret<{ username: string; password: string }>('ftp.json');
      const folder = await mkdtemp(join(tmpdir(), 'baton-lftp-'));
      const file = join(folder, 'demo-partner_lftp.ndjson');
      await writeFile(
        file,
        `${JSON.stringify({ sku: 'by-lftp', title: 'By lftp', url: null, imageUrl: null, price: 1, currency: 'EUR', inStock: true, stock: null })}\n`,
      );
      const ca = join(system.folder, '.baton', 'tls', 'ca.pem');
      await run('lftp', [
        '-c',
        `set ftp:ssl-force true; set ssl:ca-file ${ca}; open -u ${username},${password} ${system.ready.ftp}; put -O /in ${file}`,
      ]);
      await system.syncNow();
      await eventually(
        'its row',
        () => items('source=demo-partner&q=lftp'),
        ({ items }) => items.length === 1,
        60_000,
      );
    },
  );
});

describe('the end and the next start', () => {
  test('kill -9 of the launcher: the next start ends what was left and goes on with the data', async () => {
    const before = (await system.status()).counts.items ?? 0;
    const pids = (await system.status()).services.flatMap(({ pid }) => pid ?? []);
    expect(pids.length).toBeGreaterThan(5);
    const exited = new Promise((resolve) => system.launcher.once('exit', resolve));
    system.launcher.kill('SIGKILL');
    await exited;
    system = await startRunningSystem(['--broker', broker], { folder: system.folder });
    for (const pid of pids) expect(identify(pid)).toBeUndefined();
    await eventually(
      'the items of before',
      () => system.status(),
      ({ counts }) => (counts.items ?? 0) >= before,
    );
  });

  test('down ends everything in order, with nothing killed, and leaves no process', async () => {
    const { services: running } = await system.status();
    const services = running.map(({ name }) => name);
    const pids = running.flatMap(({ pid }) => pid ?? []);
    expect((await system.baton('down')).code).toBe(0);
    // What is not down in its time is killed, and that stands in its log. RabbitMQ is given less than it takes in order.
    const logs = join(system.folder, '.baton', 'logs');
    for (const name of services.filter((name) => name !== 'broker' || broker === 'development')) {
      const log = await readFile(join(logs, `${name}.log`), 'utf8');
      expect(`${name} ${log.match(/^ended by .*/gm)?.at(-1)}`).toBe(`${name} ended by exit code 0`);
    }
    for (const pid of pids) expect(identify(pid)).toBeUndefined();
    expect((await system.baton('status')).code).toBe(3);
  });
});
