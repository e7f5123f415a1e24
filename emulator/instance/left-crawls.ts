// Crawls that an ended system left open. Nobody crawls while a system starts, so the leases that ended scrapers still hold
// are given back, and nobody waits for their end. The demo shop's crawl is given up where the shop has another port now: the
// pages it still wanted are not there any more. Straight in the database, which the launcher owns; nothing here is a
// write of a leader's.
import { Client } from 'pg';
import { demoShopSource } from '../services/demo-shop/sources.ts';

const answerWithinMs = 5_000;

export interface LeftCrawlsPlace {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: string;
  readonly ca: string;
  readonly demoShop: string | undefined;
}

export async function giveBackCrawls({ ca, demoShop, ...address }: LeftCrawlsPlace): Promise<void> {
  const client = new Client({
    ...address,
    ssl: { ca, rejectUnauthorized: true },
    connectionTimeoutMillis: answerWithinMs,
    query_timeout: answerWithinMs,
  });
  client.on('error', () => undefined); // The query tells.
  try {
    await client.connect();
    await giveBackCrawlsIn(client, demoShop);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** `demoShop`: its URL; undefined when it does not run. */
export async function giveBackCrawlsIn(
  client: Pick<Client, 'query'>,
  demoShop: string | undefined,
): Promise<void> {
  await client.query('SELECT give_back_crawls()');
  if (demoShop === undefined) return;
  await client.query(
    `SELECT give_up_crawl(name, 'the demo shop has another address since it was started anew')
     FROM sources WHERE name = $1 AND NOT starts_with(definition->'startUrls'->>0, $2)`,
    [demoShopSource, `${demoShop.replace(/\/$/, '')}/`],
  );
}
