-- Sources, their items with every version, and the feed of what changed. The statement that writes items is
-- nodes/database/write-items.ts.

CREATE TABLE sources (
  name text PRIMARY KEY,
  -- contracts/source.ts
  definition jsonb NOT NULL,
  -- Intakes rise for ever: they are the upper part of every version.
  last_intake integer NOT NULL DEFAULT 0,
  -- The last one of the newest intake whose snapshot was applied: what is not newer comes too late to say anything.
  snapshot_version bigint NOT NULL DEFAULT 0,
  next_crawl_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- contracts/node-api.ts, CrawlState: what the scraper remembers between crawls.
  -- json, not jsonb: that one refuses texts with half a surrogate pair, as a page may have them.
  crawl_state json,
  -- From when its interval is expected of it: it was entered, switched on again, or given another one.
  active_since timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Deleted, and without items from when on: the row stays, or versions would begin anew and be taken for those of old.
  deleted_at timestamptz,
  emptied_at timestamptz
);

CREATE TABLE items (
  source text NOT NULL,
  sku text NOT NULL,
  version bigint NOT NULL,
  title text NOT NULL,
  url text,
  image_url text,
  price numeric(16, 4),
  currency text,
  in_stock boolean NOT NULL,
  stock integer,
  vanished boolean NOT NULL,
  term bigint NOT NULL,
  traceparent text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (source, sku)
);

-- Every version that was applied.
CREATE TABLE item_versions (
  LIKE items INCLUDING DEFAULTS,
  PRIMARY KEY (source, sku, version)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- Of a table that retention takes from, here and elsewhere: PostgreSQL's own 20 % of a year's history would be months of dead
-- entries at the end where every look begins, and below 2 % it leaves the indexes as they are.
-- Rows come in the order of their time, so these grow at one end: much cheaper than an index by key. No BRIN: it would be
-- cheaper still, until retention frees pages; they are filled again and their old least time stays, so that in the end
-- every page counts as old.
CREATE INDEX item_versions_changed ON item_versions (changed_at);

-- Numbers of the feed: handed out in the statement that writes, so they are dense and in commit order. The counts, of
-- all items and of all versions ever applied, save a count(*) over large tables.
CREATE TABLE feed_head (
  id smallint PRIMARY KEY CHECK (id = 1),
  feed uuid NOT NULL DEFAULT gen_random_uuid(),
  -- Retention moves it: to ask the feed for its least id is to pass over all that was deleted since the last vacuum.
  first bigint NOT NULL DEFAULT 1,
  last bigint NOT NULL DEFAULT 0,
  items bigint NOT NULL DEFAULT 0,
  item_versions bigint NOT NULL DEFAULT 0
);
INSERT INTO feed_head (id) VALUES (1);

-- What changed, in commit order. A reader behind what is kept starts anew.
CREATE TABLE feed (
  id bigint PRIMARY KEY,
  source text NOT NULL,
  sku text NOT NULL,
  item_version bigint NOT NULL,
  change text NOT NULL CHECK (change IN ('new', 'price', 'stock', 'content', 'vanished', 'returned')),
  title text NOT NULL,
  price numeric(16, 4),
  previous_price numeric(16, 4),
  currency text,
  in_stock boolean NOT NULL,
  term bigint NOT NULL,
  traceparent text NOT NULL,
  at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- An event has the very time of its version: `baton trace` finds it by that.
CREATE INDEX feed_at ON feed (at);
