-- Crawls, which a worker takes, goes on with and ends, and named leases for whatever else one at a time may do.

CREATE TABLE crawls (
  crawl_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  source text NOT NULL REFERENCES sources ON DELETE CASCADE,
  intake integer NOT NULL,
  status text NOT NULL CHECK (status IN ('running', 'paused', 'finished', 'failed')),
  owner text,
  -- NULL: whoever comes first may take it.
  lease_until timestamptz,
  -- Whether a worker has stored its state: before that it has published nothing, and the state is of the crawl before.
  begun boolean NOT NULL DEFAULT false,
  -- Of the present run, and of the runs before it: a worker counts from 0.
  counts jsonb NOT NULL DEFAULT '{}',
  counts_before jsonb NOT NULL DEFAULT '{}',
  -- Why it is paused, or was not whole.
  reason text,
  -- What went wrong first with a page, in the last run in which anything did.
  problem text,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Before it nobody takes the crawl: what Retry-After and Crawl-delay asked for outlives the worker.
  not_before timestamptz,
  UNIQUE (source, intake)
);
-- One crawl of a source at a time.
CREATE UNIQUE INDEX crawls_open ON crawls (source) WHERE status IN ('running', 'paused');
-- For GET /crawls too.
CREATE INDEX crawls_changed ON crawls (changed_at DESC);

-- Changed by a migration alone, since an index is built on it.
-- A crawl ends well too where the shop refused every page, or showed nothing on any: neither is a good one.
CREATE FUNCTION is_good_crawl(status text, counts jsonb, counts_before jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT status = 'finished'
    AND coalesce((counts->>'itemsSeen')::bigint, 0) + coalesce((counts_before->>'itemsSeen')::bigint, 0) > 0
    AND coalesce((counts->>'pages')::bigint, 0) + coalesce((counts_before->>'pages')::bigint, 0)
      + coalesce((counts->>'notModified')::bigint, 0) + coalesce((counts_before->>'notModified')::bigint, 0) > 0
$$;
-- The newest good one of a source is one step into an index, however many there are.
CREATE INDEX crawls_good ON crawls (source, changed_at DESC) WHERE is_good_crawl(status, counts, counts_before);

CREATE TABLE leases (name text PRIMARY KEY, owner text NOT NULL, expires_at timestamptz NOT NULL);
CREATE INDEX leases_expires ON leases (expires_at);
