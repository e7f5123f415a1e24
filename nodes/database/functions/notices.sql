-- Notices: what a price drop is, a rejected file and another leader, and who is told of it.

-- Whichever way a file comes to be rejected it is counted and told; one that is put back and rejected again is so again.
CREATE OR REPLACE FUNCTION notice_rejected_file() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.state = 'rejected' AND OLD.opened_at = NEW.opened_at THEN RETURN NULL; END IF;
  UPDATE totals SET files_rejected = files_rejected + 1;
  INSERT INTO notices (key, kind, recipient, watch, content, traceparent)
    SELECT concat_ws('/', 'file-rejected', NEW.file_id, extract(epoch FROM NEW.opened_at), lower(found.email)), 'file-rejected',
      found.email, found.watch, jsonb_build_object('kind', 'file-rejected', 'name', NEW.name, 'openedAt', NEW.opened_at,
        'reason', NEW.reason, 'problems', coalesce(NEW.answer->'problems', '[]')), NEW.traceparent
    FROM watchers('files', source_of_file(NEW.name), NULL) AS found
    ON CONFLICT (key) DO NOTHING;
  RETURN NULL;
END $$;

-- Price drops of the next events of the feed, and a change of leader: once, since the cursor moves with what is inserted.
-- At most `events_max` events and `notices_max` notices of drops. Whether there may be more of the feed.
CREATE OR REPLACE FUNCTION make_notices(given_term bigint, events_max integer, notices_max integer, trace text) RETURNS boolean
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
  PERFORM hold_fence(given_term);
  SELECT mail_cursor.* INTO stood FROM mail_cursor WHERE mail_cursor.id = 1 FOR UPDATE;
  reached := stood;
  FOR event IN SELECT feed.* FROM feed WHERE feed.id > stood.matched_to ORDER BY feed.id LIMIT events_max LOOP
    -- What had vanished keeps the price it went with.
    IF event.change IN ('price', 'returned') AND event.price < event.previous_price THEN
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
      SELECT concat_ws('/', 'leader-changed', 'cluster', given_term, lower(found.email)), 'leader-changed', found.email, found.watch,
        jsonb_build_object('kind', 'leader-changed', 'leader', leader, 'before', stood.told_leader, 'term', given_term,
          'at', clock_timestamp()), trace
      FROM watchers('leader', NULL, NULL) AS found WHERE stood.told_leader IS NOT NULL
      ON CONFLICT (key) DO NOTHING;
    UPDATE mail_cursor SET told_leader = leader WHERE mail_cursor.id = 1;
  END IF;
  RETURN room = 0 OR seen = events_max;
END $$;
