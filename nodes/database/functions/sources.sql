-- Sources: what is configured, from when on their interval counts, and what becomes of one that is deleted.

CREATE OR REPLACE FUNCTION put_source(given_term bigint, given_name text, given_definition jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  INSERT INTO sources (name, definition) VALUES (given_name, given_definition)
    ON CONFLICT (name) DO UPDATE SET definition = excluded.definition,
      -- A shorter interval counts at once. A partner has none, and NULL is not the least.
      next_crawl_at = least(sources.next_crawl_at,
        clock_timestamp() + (excluded.definition->>'everySeconds')::integer * interval '1 s'),
      active_since = CASE WHEN sources.definition->'enabled' IS DISTINCT FROM excluded.definition->'enabled'
          OR sources.definition->'everySeconds' IS DISTINCT FROM excluded.definition->'everySeconds'
          OR sources.definition->'fileEverySeconds' IS DISTINCT FROM excluded.definition->'fileEverySeconds'
        THEN clock_timestamp() ELSE sources.active_since END,
      -- One that was deleted is there again. What was on its way for it then is older than what comes from now on.
      snapshot_version = CASE WHEN sources.deleted_at IS NULL THEN sources.snapshot_version
        ELSE last_version_of(sources.last_intake) END,
      deleted_at = NULL, emptied_at = NULL;
END $$;

-- contracts/ids.ts
CREATE OR REPLACE FUNCTION last_version_of(intake integer) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN (intake::bigint + 1) * 16777216 - 1;

-- False: there is none. Whatever is on its way for it, and whatever comes, is stale from here on: no version is higher than that of
-- the last intake there can be. It forgets what it crawled, so that all is published should it be put again.
CREATE OR REPLACE FUNCTION delete_source(given_term bigint, given_name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  UPDATE sources SET deleted_at = clock_timestamp(), definition = definition || '{"enabled": false}', crawl_state = NULL,
      last_intake = last_intake + 1, snapshot_version = last_version_of(536870911)
    WHERE sources.name = given_name AND sources.deleted_at IS NULL;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE crawls SET status = 'failed', owner = NULL, lease_until = NULL, reason = 'its source was deleted', changed_at = clock_timestamp()
    WHERE crawls.source = given_name AND crawls.status IN ('running', 'paused');
  RETURN true;
END $$;

-- Removes what has vanished of a deleted source, `rows_max` at most. Empty is what is so a minute later, too: a write that began
-- before the deletion may have been at work meanwhile, and none takes as long.
CREATE OR REPLACE FUNCTION remove_vanished(given_term bigint, given_source text, rows_max integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  removed integer;
BEGIN
  PERFORM hold_fence(given_term);
  -- Put again meanwhile, it keeps what is left.
  PERFORM FROM sources WHERE sources.name = given_source AND sources.deleted_at IS NOT NULL FOR UPDATE;
  IF NOT FOUND THEN RETURN 0; END IF;
  DELETE FROM items WHERE items.source = given_source AND items.sku = ANY (ARRAY(
    SELECT items.sku FROM items WHERE items.source = given_source AND items.vanished ORDER BY items.sku LIMIT rows_max FOR UPDATE));
  GET DIAGNOSTICS removed = ROW_COUNT;
  IF removed > 0 THEN
    UPDATE feed_head SET items = feed_head.items - removed WHERE feed_head.id = 1;
  ELSIF NOT EXISTS (SELECT FROM items WHERE items.source = given_source) THEN
    UPDATE sources SET emptied_at = clock_timestamp()
      WHERE sources.name = given_source AND sources.deleted_at < clock_timestamp() - interval '1 minute';
  END IF;
  RETURN removed;
END $$;
