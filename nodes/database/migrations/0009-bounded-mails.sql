-- Up Migration
-- However many watch the same thing, and however much waits to be told, a step of the mail jobs writes and reads a bounded
-- number of rows. A watch that ends takes with it what nobody else of that address asked for.

-- The event that some of its watchers were told of already, and the last of them: those behind in the order of addresses are
-- still to be told. NULL between two events.
ALTER TABLE mail_cursor ADD COLUMN telling bigint, ADD COLUMN told_to text;

-- Price drops of the next events of the feed, and a change of leader: once, since the cursor moves with what is inserted.
-- At most `events_max` events and `notices_max` notices of drops. Whether there may be more of the feed.
DROP FUNCTION make_notices(bigint, integer, text);
CREATE FUNCTION make_notices(held bigint, events_max integer, notices_max integer, trace text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  stood mail_cursor;
  reached mail_cursor;
  event feed;
  seen integer := 0;
  room integer := notices_max;
  told integer;
  last_address text;
  leader text;
BEGIN
  PERFORM hold_fence(held);
  SELECT mail_cursor.* INTO stood FROM mail_cursor WHERE mail_cursor.id = 1 FOR UPDATE;
  reached := stood;
  FOR event IN SELECT feed.* FROM feed WHERE feed.id > stood.matched_to ORDER BY feed.id LIMIT events_max LOOP
    IF event.change = 'price' AND event.price < event.previous_price THEN
      WITH found AS (
        SELECT watchers.watch, watchers.email FROM watchers('prices', event.source, event.sku)
        WHERE event.id IS DISTINCT FROM stood.telling OR lower(watchers.email) > coalesce(stood.told_to, '')
        ORDER BY lower(watchers.email) LIMIT room
      ), made AS (
        INSERT INTO notices (key, kind, recipient, watch, content, traceparent)
          SELECT concat_ws('/', 'price-drop', event.source, event.sku, event.item_version, lower(found.email)), 'price-drop',
            found.email, found.watch, jsonb_build_object('kind', 'price-drop', 'source', event.source, 'sku', event.sku,
              'title', event.title, 'price', event.price, 'previousPrice', event.previous_price, 'currency', event.currency,
              'inStock', event.in_stock), event.traceparent
          FROM found ON CONFLICT (key) DO NOTHING
      )
      SELECT count(*), max(lower(found.email)) INTO told, last_address FROM found;
      room := room - told;
      IF room = 0 THEN
        reached.telling := event.id;
        reached.told_to := last_address;
        EXIT;
      END IF;
    END IF;
    reached.matched_to := event.id;
    reached.telling := NULL;
    reached.told_to := NULL;
    seen := seen + 1;
  END LOOP;
  IF reached IS DISTINCT FROM stood THEN
    UPDATE mail_cursor SET matched_to = reached.matched_to, telling = reached.telling, told_to = reached.told_to
      WHERE mail_cursor.id = 1;
  END IF;
  SELECT split_part(fence.holder, '/', 1) INTO leader FROM fence WHERE fence.id = 1;
  IF leader IS DISTINCT FROM stood.told_leader THEN
    INSERT INTO notices (key, kind, recipient, watch, content, traceparent)
      SELECT concat_ws('/', 'leader-changed', 'cluster', held, lower(found.email)), 'leader-changed', found.email, found.watch,
        jsonb_build_object('kind', 'leader-changed', 'leader', leader, 'before', stood.told_leader, 'term', held,
          'at', clock_timestamp()), trace
      FROM watchers('leader', NULL, NULL) AS found WHERE stood.told_leader IS NOT NULL
      ON CONFLICT (key) DO NOTHING;
    UPDATE mail_cursor SET told_leader = leader WHERE mail_cursor.id = 1;
  END IF;
  RETURN room = 0 OR seen = events_max;
END $$;

-- Each row is one mail to be made: the oldest of its notices has waited for others of its kind (`gather_ms`), and the
-- last mail of that kind to that address is long enough ago (`quiet_ms`). A step into notices_waiting for each address, however
-- many notices of it wait.
DROP FUNCTION due_digests(bigint, text[], integer[], integer[], integer, integer);
CREATE FUNCTION due_digests(held bigint, kinds text[], gather_ms integer[], quiet_ms integer[], mails_max integer)
RETURNS TABLE (kind text, addressee text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  RETURN QUERY
    WITH RECURSIVE waiting AS (
      (SELECT notices.kind, lower(notices.recipient) AS addressee, notices.made_at AS since FROM notices
        WHERE notices.mail_id IS NULL ORDER BY notices.kind, lower(notices.recipient), notices.notice_id LIMIT 1)
      UNION ALL
      SELECT next.* FROM waiting CROSS JOIN LATERAL (
        SELECT notices.kind, lower(notices.recipient), notices.made_at FROM notices
        WHERE notices.mail_id IS NULL AND (notices.kind, lower(notices.recipient)) > (waiting.kind, waiting.addressee)
        ORDER BY notices.kind, lower(notices.recipient), notices.notice_id LIMIT 1) AS next
    )
    SELECT waiting.kind, waiting.addressee
    FROM waiting JOIN unnest(kinds, gather_ms, quiet_ms) AS rule (kind, gather, quiet) ON rule.kind = waiting.kind
    WHERE waiting.since <= clock_timestamp() - rule.gather * interval '1 ms' AND NOT EXISTS (
      SELECT FROM mails WHERE mails.kind = waiting.kind AND lower(mails.recipient) = waiting.addressee
        AND mails.made_at > clock_timestamp() - rule.quiet * interval '1 ms')
    ORDER BY waiting.since LIMIT mails_max;
END $$;

-- What was to be told by it and was not yet is told by another watch of that address, the narrowest, or by none.
CREATE OR REPLACE FUNCTION delete_watch(held bigint, watch uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  ended watches;
  told_kind text;
BEGIN
  PERFORM hold_fence(held);
  DELETE FROM watches WHERE watches.id = delete_watch.watch RETURNING watches.* INTO ended;
  IF NOT FOUND THEN RETURN false; END IF;
  told_kind := CASE ended.about WHEN 'prices' THEN 'price-drop' WHEN 'files' THEN 'file-rejected' WHEN 'leader' THEN 'leader-changed' END;
  WITH others AS MATERIALIZED (
    SELECT watches.* FROM watches WHERE watches.about = ended.about AND lower(watches.email) = lower(ended.email)
  ), waiting AS (
    SELECT notices.notice_id, (
      SELECT others.id FROM others
      WHERE (others.source IS NULL
          OR others.source = coalesce(notices.content->>'source', substring(notices.content->>'name' FROM '^[a-z0-9-]+')))
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

-- As before, and the place of the address in an event that is being told: those before it are known by the keys of their notices.
CREATE OR REPLACE FUNCTION erase_address(held bigint, address text) RETURNS TABLE (watches bigint, mails bigint, suppressions bigint)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  UPDATE mail_cursor SET told_to = NULL WHERE mail_cursor.told_to = lower(address);
  DELETE FROM notices WHERE lower(notices.recipient) = lower(address);
  WITH gone AS (DELETE FROM watches AS w WHERE lower(w.email) = lower(address) RETURNING 1) SELECT count(*) INTO watches FROM gone;
  WITH gone AS (DELETE FROM mails AS m WHERE lower(m.recipient) = lower(address) RETURNING 1) SELECT count(*) INTO mails FROM gone;
  WITH gone AS (DELETE FROM suppressions AS s WHERE s.recipient = lower(address) RETURNING 1) SELECT count(*) INTO suppressions FROM gone;
  RETURN NEXT;
END $$;
