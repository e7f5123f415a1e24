-- How messages came to their rows, for `baton trace`. Noted by the leader after its answer, beside the write: a crash may
-- lose the last half second of it, never a row of items.

CREATE TABLE deliveries (
  -- Of the rows that this delivery wrote: each has a span of its own.
  traceparent text NOT NULL,
  message_id text NOT NULL,
  url text NOT NULL,
  -- By the clocks of the scraper, of the intermediary and of the leader.
  fetched_at timestamptz NOT NULL,
  published_at timestamptz,
  attempt integer NOT NULL,
  received_at timestamptz NOT NULL,
  posted_at timestamptz NOT NULL,
  node text NOT NULL,
  term bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX deliveries_at ON deliveries (at);
CREATE INDEX deliveries_message ON deliveries (hashtextextended(message_id, 0));
