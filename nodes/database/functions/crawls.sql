-- Crawls: which one is next, who has it, and what it stored.

CREATE OR REPLACE FUNCTION sum_counts(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(key, total), '{}')
  FROM (SELECT key, sum(value::bigint) AS total FROM (SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other)) AS each GROUP BY key) AS sums
$$;

CREATE OR REPLACE FUNCTION take_crawl(given_term bigint, given_owner text, lease_ms integer, only_source text)
RETURNS TABLE (crawl_id uuid, intake integer, definition jsonb, state json, resumed boolean)
LANGUAGE plpgsql AS $$
DECLARE
  chosen sources;
  open_crawl crawls;
BEGIN
  PERFORM hold_fence(given_term);
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
    UPDATE crawls SET owner = given_owner, lease_until = clock_timestamp() + lease_ms * interval '1 ms', status = 'running', not_before = NULL,
      counts = '{}', counts_before = sum_counts(counts_before, counts), reason = NULL, changed_at = clock_timestamp() WHERE crawls.crawl_id = open_crawl.crawl_id;
    crawl_id := open_crawl.crawl_id;
    intake := open_crawl.intake;
    resumed := open_crawl.begun;
  ELSE
    resumed := false;
    UPDATE sources SET last_intake = sources.last_intake + 1 WHERE sources.name = chosen.name RETURNING sources.last_intake INTO intake;
    INSERT INTO crawls (source, intake, status, owner, lease_until)
      VALUES (chosen.name, intake, 'running', given_owner, clock_timestamp() + lease_ms * interval '1 ms')
      RETURNING crawls.crawl_id INTO crawl_id;
  END IF;
  definition := chosen.definition;
  state := chosen.crawl_state;
  RETURN NEXT;
END $$;

-- Without a state it renews the lease and changes nothing else. `wait_ms`: so long nobody may take it, a day at most.
CREATE OR REPLACE FUNCTION update_crawl(given_term bigint, crawl uuid, given_owner text, lease_ms integer, new_status text, new_state json, new_counts jsonb,
  new_reason text, new_problem text, wait_ms bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  found_crawl crawls;
BEGIN
  PERFORM hold_fence(given_term);
  -- The source first, as take_crawl does: the other order could deadlock with it.
  PERFORM FROM sources WHERE sources.name = (SELECT crawls.source FROM crawls WHERE crawls.crawl_id = crawl) FOR UPDATE;
  SELECT crawls.* INTO found_crawl FROM crawls WHERE crawls.crawl_id = crawl FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no crawl %', crawl USING ERRCODE = 'BT004'; END IF;
  -- Said again after a lost answer.
  IF found_crawl.status <> 'running' AND found_crawl.status = new_status AND found_crawl.owner = given_owner THEN RETURN; END IF;
  -- A lease that has ended and that nobody else took goes on.
  IF found_crawl.status <> 'running' OR found_crawl.owner IS DISTINCT FROM given_owner THEN
    RAISE EXCEPTION 'crawl % is %, held by %', crawl, found_crawl.status, coalesce(found_crawl.owner, 'nobody') USING ERRCODE = 'BT003';
  END IF;
  IF new_state IS NULL AND new_status = 'running' THEN
    UPDATE crawls SET lease_until = clock_timestamp() + lease_ms * interval '1 ms', changed_at = clock_timestamp()
      WHERE crawls.crawl_id = crawl;
    RETURN;
  END IF;
  UPDATE crawls SET status = new_status, begun = true, counts = new_counts, changed_at = clock_timestamp(), reason = new_reason,
    -- A run knows its own alone.
    problem = coalesce(new_problem, problem),
    not_before = CASE WHEN new_status = 'paused' AND wait_ms > 0 THEN clock_timestamp() + least(wait_ms, 86400000) * interval '1 ms' END,
    lease_until = CASE new_status WHEN 'running' THEN clock_timestamp() + lease_ms * interval '1 ms' ELSE NULL END
    WHERE crawls.crawl_id = crawl;
  UPDATE sources SET crawl_state = new_state,
    -- What was made a partner meanwhile has no interval.
    next_crawl_at = coalesce(CASE new_status WHEN 'finished' THEN clock_timestamp() + (sources.definition->>'everySeconds')::integer * interval '1 s' END,
      sources.next_crawl_at)
    WHERE sources.name = found_crawl.source;
END $$;

-- The next two are for whoever starts a system anew and knows that nobody crawls, and take no term: no leader writes here.

-- Nobody waits for the end of what ended scrapers still hold.
CREATE OR REPLACE FUNCTION give_back_crawls() RETURNS void LANGUAGE sql AS $$
  UPDATE crawls SET lease_until = NULL WHERE status IN ('running', 'paused') AND lease_until IS NOT NULL
$$;

-- What is left of it is not read any more. The next one is due at once, as this one was.
CREATE OR REPLACE FUNCTION give_up_crawl(given_source text, why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM sources WHERE sources.name = given_source FOR UPDATE;
  UPDATE crawls SET status = 'failed', owner = NULL, lease_until = NULL, reason = why, changed_at = clock_timestamp()
    WHERE crawls.source = given_source AND crawls.status IN ('running', 'paused');
  IF FOUND THEN
    UPDATE sources SET next_crawl_at = least(sources.next_crawl_at, clock_timestamp()) WHERE sources.name = given_source;
  END IF;
END $$;
