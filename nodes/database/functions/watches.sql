-- Watches, and whom they tell.

CREATE OR REPLACE FUNCTION put_watch(given_term bigint, given_email text, given_about text, given_source text, given_sku text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  watch uuid;
BEGIN
  PERFORM hold_fence(given_term);
  INSERT INTO watches (email, about, source, sku) VALUES (given_email, given_about, given_source, given_sku)
    ON CONFLICT (email, about, source, sku) DO UPDATE SET email = excluded.email RETURNING id INTO watch;
  RETURN watch;
END $$;

-- What was to be told by it and was not yet is told by another watch of that address, the narrowest, or by none.
CREATE OR REPLACE FUNCTION delete_watch(given_term bigint, watch uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  ended watches;
  told_kind text;
BEGIN
  PERFORM hold_fence(given_term);
  DELETE FROM watches WHERE watches.id = delete_watch.watch RETURNING watches.* INTO ended;
  IF NOT FOUND THEN RETURN false; END IF;
  told_kind := CASE ended.about WHEN 'prices' THEN 'price-drop' WHEN 'files' THEN 'file-rejected' WHEN 'leader' THEN 'leader-changed' END;
  WITH others AS MATERIALIZED (
    SELECT watches.* FROM watches WHERE watches.about = ended.about AND lower(watches.email) = lower(ended.email)
  ), waiting AS (
    SELECT notices.notice_id, (
      SELECT others.id FROM others
      WHERE (others.source IS NULL
          OR others.source = coalesce(notices.content->>'source', source_of_file(notices.content->>'name')))
        AND (others.sku IS NULL OR others.sku = notices.content->>'sku')
      ORDER BY others.sku NULLS LAST, others.source NULLS LAST, others.id LIMIT 1) AS other
    FROM notices
    WHERE notices.mail_id IS NULL AND notices.kind = told_kind AND lower(notices.recipient) = lower(ended.email)
      AND notices.watch = ended.id
  ), passed_on AS (
    UPDATE notices SET watch = waiting.other FROM waiting
    WHERE notices.notice_id = waiting.notice_id AND notices.mail_id IS NULL AND waiting.other IS NOT NULL
  )
  DELETE FROM notices USING waiting
  WHERE notices.notice_id = waiting.notice_id AND notices.mail_id IS NULL AND waiting.other IS NULL;
  RETURN true;
END $$;

-- Each part is a step into watches_about: `source IS NULL OR source = ...` would read all watches for each price drop.
CREATE OR REPLACE FUNCTION watchers(given_about text, given_source text, given_sku text) RETURNS TABLE (watch uuid, email text)
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT ON (lower(found.email)) found.id, found.email
  FROM (
    SELECT * FROM watches WHERE about = given_about AND source IS NULL AND sku IS NULL
    UNION ALL SELECT * FROM watches WHERE about = given_about AND source = given_source AND sku IS NULL
    UNION ALL SELECT * FROM watches WHERE about = given_about AND source IS NULL AND sku = given_sku
    UNION ALL SELECT * FROM watches WHERE about = given_about AND source = given_source AND sku = given_sku
  ) AS found
  ORDER BY lower(found.email), found.sku NULLS LAST, found.source NULLS LAST, found.id
$$;
