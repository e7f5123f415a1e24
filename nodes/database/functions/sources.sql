-- Sources: what is configured, and from when on their interval counts.

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
        THEN clock_timestamp() ELSE sources.active_since END;
END $$;
