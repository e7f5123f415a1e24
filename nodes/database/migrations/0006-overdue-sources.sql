-- Up Migration
-- How long ago each source brought something: for whoever is to hear of one that stopped in silence.

-- From when its interval is expected of it: it was entered, switched on again, or given another one.
ALTER TABLE sources ADD COLUMN active_since timestamptz NOT NULL DEFAULT clock_timestamp();

-- A crawl ends well too where the shop refused every page, or showed nothing on any: neither is a good one.
CREATE FUNCTION is_good_crawl(status text, counts jsonb, counts_before jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT status = 'finished'
    AND coalesce((counts->>'itemsSeen')::bigint, 0) + coalesce((counts_before->>'itemsSeen')::bigint, 0) > 0
    AND coalesce((counts->>'pages')::bigint, 0) + coalesce((counts_before->>'pages')::bigint, 0)
      + coalesce((counts->>'notModified')::bigint, 0) + coalesce((counts_before->>'notModified')::bigint, 0) > 0
$$;
-- The newest good one of a source is one step into an index, however many there are.
CREATE INDEX crawls_good ON crawls (source, changed_at DESC) WHERE is_good_crawl(status, counts, counts_before);
-- By the time it was first seen: an applied file that is put back is moved again, and is no new one.
CREATE INDEX files_good ON files ((substring(name FROM '^[a-z0-9-]+')), opened_at DESC) WHERE state = 'applied';

CREATE OR REPLACE FUNCTION put_source(held bigint, given_name text, given_definition jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  INSERT INTO sources (name, definition) VALUES (given_name, given_definition)
    ON CONFLICT (name) DO UPDATE SET definition = excluded.definition,
      -- A shorter interval counts at once. A partner has none, and NULL is not the least.
      next_crawl_at = least(sources.next_crawl_at,
        clock_timestamp() + (excluded.definition->>'everySeconds')::integer * interval '1 s'),
      active_since = CASE WHEN sources.definition->'enabled' IS DISTINCT FROM excluded.definition->'enabled'
          OR sources.definition->'everySeconds' IS DISTINCT FROM excluded.definition->'everySeconds'
          OR sources.definition->'fileEverySeconds' IS DISTINCT FROM excluded.definition->'fileEverySeconds'
        THEN clock_timestamp() ELSE sources.active_since END;
END $$;
