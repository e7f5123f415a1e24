// What the database itself notes of a run, in a schema of the harness: each applied row and each claimed term, written by
// triggers that run as the transaction commits, so that their order is the order of commits and the fence is read as it
// is then. Also reads what stands in the product's tables and in the queues of dead letters in the end.
import { connect } from 'amqplib';
import { Client } from 'pg';
import { messageHeaders, queues } from '../../contracts/topology.ts';
import type { Credentials } from '../../contracts/secrets.ts';
import type { HistoryRecord, HistoryWriter } from './history.ts';

// A deferred trigger runs at the commit, and each of its statements sees what other transactions had committed by then.
const auditSql = `
CREATE SCHEMA chaos;
CREATE SEQUENCE chaos.commits;
CREATE TABLE chaos.applications (
  commit_order bigint PRIMARY KEY DEFAULT nextval('chaos.commits'),
  source text, sku text, version bigint, old_version bigint, price numeric, term bigint, fence_term bigint
);
CREATE TABLE chaos.claims (commit_order bigint PRIMARY KEY DEFAULT nextval('chaos.commits'), term bigint, holder text);
INSERT INTO chaos.claims (term, holder) SELECT term, holder FROM public.fence;
CREATE FUNCTION chaos.note_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO chaos.applications (source, sku, version, old_version, price, term, fence_term)
    SELECT NEW.source, NEW.sku, NEW.version, OLD.version, NEW.price, NEW.term, fence.term FROM public.fence;
  RETURN NULL;
END $$;
CREATE FUNCTION chaos.note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO chaos.claims (term, holder) VALUES (NEW.term, NEW.holder);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note_application AFTER INSERT OR UPDATE ON public.items
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chaos.note_application();
CREATE CONSTRAINT TRIGGER note_claim AFTER UPDATE ON public.fence
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chaos.note_claim();
`;

export interface DatabaseAddress {
  readonly port: number;
  readonly password: string;
  /** PEM */
  readonly ca: string;
}

/** One connection; whoever uses it closes it. Bounded: nothing of a chaos run may wait for ever. */
export async function connectDatabase({ port, password, ca }: DatabaseAddress): Promise<Client> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'baton',
    database: 'baton',
    password,
    ssl: { ca },
    connectionTimeoutMillis: 3_000,
    statement_timeout: 20_000,
    query_timeout: 25_000,
    application_name: 'chaos',
  });
  client.on('error', () => undefined); // The query under way rejects with it.
  await client.connect();
  return client;
}

export async function installAudit(database: Client): Promise<void> {
  await database.query(auditSql);
}

const rowsPerQuery = 20_000;

/** Each names its rows in ascending order of `place`, which is left out of the history. */
const collections: readonly { from: string; record: (row: Record<string, unknown>) => HistoryRecord }[] = [
  {
    from: `SELECT commit_order::text AS place, * FROM chaos.applications WHERE commit_order > $1::bigint ORDER BY commit_order`,
    record: (row) => ({
      kind: 'applied',
      order: Number(row['commit_order']),
      ...itemName(row),
      oldVersion: row['old_version'] === null ? null : Number(row['old_version']),
      price: Number(row['price']),
      term: Number(row['term']),
      fenceTerm: Number(row['fence_term']),
    }),
  },
  {
    from: `SELECT commit_order::text AS place, * FROM chaos.claims WHERE commit_order > $1::bigint ORDER BY commit_order`,
    record: (row) => ({
      kind: 'claimed',
      order: Number(row['commit_order']),
      term: Number(row['term']),
      holder: String(row['holder']),
    }),
  },
  {
    from: `SELECT id::text AS place, id, source, sku, item_version AS version FROM public.feed WHERE id > $1::bigint ORDER BY id`,
    record: (row) => ({ kind: 'event', id: Number(row['id']), ...itemName(row) }),
  },
  {
    from: `SELECT * FROM (SELECT (row_number() OVER (ORDER BY source, sku))::text AS place, source, sku, version, price FROM public.items)
      WHERE place::bigint > $1::bigint ORDER BY place::bigint`,
    record: (row) => ({ kind: 'row', ...itemName(row), price: Number(row['price']) }),
  },
  {
    from: `SELECT notice_id::text AS place, notices.key, coalesce(message_id, '') AS message_id, coalesce(state, 'gathered') AS state,
      coalesce(unknowns, 0) AS unknowns FROM public.notices LEFT JOIN public.mails USING (mail_id)
      WHERE notices.kind = 'price-drop' AND notice_id > $1::bigint ORDER BY notice_id`,
    record: (row) => {
      // price-drop/<source>/<sku>/<version>/<recipient>: none of ours has a slash in it.
      const [, source = '', sku = '', version, recipient = ''] = String(row['key']).split('/');
      return {
        kind: 'effect',
        source,
        sku,
        version: Number(version),
        recipient,
        messageId: String(row['message_id']),
        state: String(row['state']),
        unknowns: Number(row['unknowns']),
      };
    },
  },
  {
    from: `SELECT dead_letter_id::text AS place, message_id, code, reason FROM public.dead_letters
      WHERE dead_letter_id > $1::bigint ORDER BY dead_letter_id`,
    record: (row) => ({
      kind: 'dead',
      message: String(row['message_id']),
      code: String(row['code']),
      reason: String(row['reason']),
    }),
  },
];

export async function collectAudit(database: Client, history: HistoryWriter): Promise<void> {
  for (const { from, record } of collections)
    for (let place = '0', full = true; full;) {
      const { rows } = await database.query<Record<string, unknown> & { place: string }>(
        `${from} LIMIT ${rowsPerQuery}`,
        [place],
      );
      for (const row of rows) history.write(record(row));
      place = rows.at(-1)?.place ?? place;
      full = rows.length === rowsPerQuery;
    }
}

/** Taken and not acknowledged: they stay where they are. */
export async function collectDeadLetters(
  { port, credentials, ca }: { port: number; credentials: Credentials; ca: string },
  history: HistoryWriter,
): Promise<void> {
  const connection = await connect(
    { protocol: 'amqps', hostname: '127.0.0.1', port, ...credentials },
    { ca: [ca], timeout: 5_000 },
  );
  try {
    const channel = await connection.createChannel();
    for (const { name } of [queues.itemsDead, queues.filesDead, queues.mailDead])
      for (let letter = await channel.get(name); letter; letter = await channel.get(name)) {
        const headers = letter.properties.headers ?? {};
        history.write({
          kind: 'dead',
          message: String(letter.properties.messageId),
          code: String(headers[messageHeaders.deadCode] ?? ''),
          reason: String(headers[messageHeaders.deadReason] ?? ''),
        });
      }
  } finally {
    await connection.close();
  }
}

function itemName(row: Record<string, unknown>): { source: string; sku: string; version: number } {
  return { source: String(row['source']), sku: String(row['sku']), version: Number(row['version']) };
}
