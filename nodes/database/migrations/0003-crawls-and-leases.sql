-- Up Migration
-- Crawls, which a worker takes, goes on with and ends, and named leases for whatever else one at a time may do.

-- Kept for 90 days after their end.
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
  reason text,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Before it nobody takes the crawl: what Retry-After and Crawl-delay asked for outlives the worker.
  not_before timestamptz,
  UNIQUE (source, intake)
);
-- One crawl of a source at a time.
CREATE UNIQUE INDEX crawls_open ON crawls (source) WHERE status IN ('running', 'paused');
-- For GET /crawls too.
CREATE INDEX crawls_changed ON crawls (changed_at DESC);

-- A crawl ends well too where the shop refused every page, or showed nothing on any: neither is a good one.
CREATE FUNCTION is_good_crawl(status text, counts jsonb, counts_before jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT status = 'finished'
    AND coalesce((counts->>'itemsSeen')::bigint, 0) + coalesce((counts_before->>'itemsSeen')::bigint, 0) > 0
    AND coalesce((counts->>'pages')::bigint, 0) + coalesce((counts_before->>'pages')::bigint, 0)
      + coalesce((counts->>'notModified')::bigint, 0) + coalesce((counts_before->>'notModified')::bigint, 0) > 0
$$;
-- The newest good one of a source is one step into an index, however many there are.
CREATE INDEX crawls_good ON crawls (source, changed_at DESC) WHERE is_good_crawl(status, counts, counts_before);

CREATE FUNCTION sum_counts(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(key, total), '{}')
  FROM (SELECT key, sum(value::bigint) AS total FROM (SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other)) AS each GROUP BY key) AS sums
$$;

CREATE FUNCTION take_crawl(held bigint, worker text, lease_ms integer, only_source text)
RETURNS TABLE (crawl_id uuid, intake integer, definition jsonb, state json, resumed boolean)
LANGUAGE plpgsql AS $$
DECLARE
  chosen sources;
  open_crawl crawls;
BEGIN
  PERFORM hold_fence(held);
  SELECT sources.* INTO chosen FROM sources LEFT JOIN crawls ON crawls.source = sources.name AND crawls.status IN ('running', 'paused')
    WHERE sources.definition->>'kind' = 'shop' AND (sources.definition->>'enabled')::boolean
      AND (only_source IS NULL OR sources.name = only_source)
      AND (only_source IS NOT NULL OR crawls.status IS NOT NULL OR sources.next_crawl_at <= clock_timestamp())
      AND (crawls.lease_until IS NULL OR crawls.lease_until < clock_timestamp())
      -- Asked for by name it waits all the same: it is the site that asked.
      AND (crawls.not_before IS NULL OR crawls.not_before <= clock_timestamp())
    -- What has waited longest, so that a crawl that pauses again and again holds up no other source.
    ORDER BY coalesce(crawls.changed_at, sources.next_crawl_at) LIMIT 1 FOR UPDATE OF sources SKIP LOCKED;
  IF NOT FOUND THEN RETURN; END IF;
  SELECT crawls.* INTO open_crawl FROM crawls WHERE crawls.source = chosen.name AND crawls.status IN ('running', 'paused') FOR UPDATE;
  IF FOUND THEN
    -- Looked at again: it may have been taken between the two statements.
    IF open_crawl.lease_until >= clock_timestamp() THEN RETURN; END IF;
    IF open_crawl.not_before > clock_timestamp() THEN RETURN; END IF;
    UPDATE crawls SET owner = worker, lease_until = clock_timestamp() + lease_ms * interval '1 ms', status = 'running', not_before = NULL,
      counts = '{}', counts_before = sum_counts(counts_before, counts), reason = NULL, changed_at = clock_timestamp() WHERE crawls.crawl_id = open_crawl.crawl_id;
    crawl_id := open_crawl.crawl_id;
    intake := open_crawl.intake;
    resumed := open_crawl.begun;
  ELSE
    resumed := false;
    UPDATE sources SET last_intake = sources.last_intake + 1 WHERE sources.name = chosen.name RETURNING sources.last_intake INTO intake;
    INSERT INTO crawls (source, intake, status, owner, lease_until)
      VALUES (chosen.name, intake, 'running', worker, clock_timestamp() + lease_ms * interval '1 ms')
      RETURNING crawls.crawl_id INTO crawl_id;
  END IF;
  definition := chosen.definition;
  state := chosen.crawl_state;
  RETURN NEXT;
END $$;

-- Without a state it renews the lease and changes nothing else. `wait_ms`: so long nobody may take it, a day at most.
CREATE FUNCTION update_crawl(held bigint, crawl uuid, worker text, lease_ms integer, new_status text, new_state json, new_counts jsonb,
  new_reason text, wait_ms bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  found_crawl crawls;
BEGIN
  PERFORM hold_fence(held);
  -- The source first, as take_crawl does: the other order could deadlock with it.
  PERFORM FROM sources WHERE sources.name = (SELECT crawls.source FROM crawls WHERE crawls.crawl_id = crawl) FOR UPDATE;
  SELECT crawls.* INTO found_crawl FROM crawls WHERE crawls.crawl_id = crawl FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no crawl %', crawl USING ERRCODE = 'BT004'; END IF;
  -- Said again after a lost answer.
  IF found_crawl.status <> 'running' AND found_crawl.status = new_status AND found_crawl.owner = worker THEN RETURN; END IF;
  -- A lease that has ended and that nobody else took goes on.
  IF found_crawl.status <> 'running' OR found_crawl.owner IS DISTINCT FROM worker THEN
    RAISE EXCEPTION 'crawl % is %, held by %', crawl, found_crawl.status, coalesce(found_crawl.owner, 'nobody') USING ERRCODE = 'BT003';
  END IF;
  IF new_state IS NULL AND new_status = 'running' THEN
    UPDATE crawls SET lease_until = clock_timestamp() + lease_ms * interval '1 ms', changed_at = clock_timestamp()
      WHERE crawls.crawl_id = crawl;
    RETURN;
  END IF;
  UPDATE crawls SET status = new_status, begun = true, counts = new_counts, changed_at = clock_timestamp(), reason = new_reason,
    not_before = CASE WHEN new_status = 'paused' AND wait_ms > 0 THEN clock_timestamp() + least(wait_ms, 86400000) * interval '1 ms' END,
    lease_until = CASE new_status WHEN 'running' THEN clock_timestamp() + lease_ms * interval '1 ms' ELSE NULL END
    WHERE crawls.crawl_id = crawl;
  UPDATE sources SET crawl_state = new_state,
    next_crawl_at = CASE new_status WHEN 'finished' THEN clock_timestamp() + (sources.definition->>'everySeconds')::integer * interval '1 s' ELSE sources.next_crawl_at END
    WHERE sources.name = found_crawl.source;
END $$;

-- Kept for a day after the end.
CREATE TABLE leases (name text PRIMARY KEY, owner text NOT NULL, expires_at timestamptz NOT NULL);
CREATE INDEX leases_expires ON leases (expires_at);

CREATE FUNCTION take_lease(held bigint, wanted text, worker text, lease_ms integer) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
  ends timestamptz := clock_timestamp() + lease_ms * interval '1 ms';
  other leases;
BEGIN
  PERFORM hold_fence(held);
  IF lease_ms = 0 THEN
    -- Given back; whoever does not hold it gives nothing back.
    UPDATE leases SET expires_at = ends WHERE leases.name = wanted AND leases.owner = worker;
    RETURN ends;
  END IF;
  INSERT INTO leases VALUES (wanted, worker, ends)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
    WHERE leases.owner = worker OR leases.expires_at <= clock_timestamp();
  IF FOUND THEN RETURN ends; END IF;
  SELECT * INTO other FROM leases WHERE leases.name = wanted;
  RAISE EXCEPTION 'lease % is held by % until %', wanted, other.owner, other.expires_at USING ERRCODE = 'BT002';
END $$;
