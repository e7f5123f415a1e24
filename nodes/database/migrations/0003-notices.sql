-- Up Migration
-- Mails about rejected files and changes of leader too, gathered per recipient and kind, and addresses that can be erased.
-- It only adds: what the release before calls (queue_mails, put_watch with four values) stays for as long as one of its
-- nodes may run beside this one.

-- What a watch is about: the price of items, rejected files of a source, or who leads.
ALTER TABLE watches ADD COLUMN about text NOT NULL DEFAULT 'prices' CHECK (about IN ('prices', 'files', 'leader'));
ALTER TABLE watches DROP CONSTRAINT watches_email_source_sku_key;
ALTER TABLE watches ADD CONSTRAINT watches_once UNIQUE NULLS NOT DISTINCT (email, about, source, sku);

-- Whom the watchers were told of last; NULL before the first leader, who replaces nobody.
ALTER TABLE mail_cursor ADD COLUMN told_leader text;

-- What somebody is told, and in which mail. nodes/mailer/notice.ts says what `content` holds. Kept as long as its mail.
CREATE TABLE notices (
  notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- kind/entity/version/recipient: nobody is told the same twice.
  key text NOT NULL UNIQUE,
  kind text NOT NULL CHECK (kind IN ('price-drop', 'file-rejected', 'leader-changed')),
  recipient text NOT NULL,
  watch uuid NOT NULL,
  content jsonb NOT NULL,
  traceparent text NOT NULL,
  -- NULL while it waits for others of its kind.
  mail_id uuid REFERENCES mails ON DELETE CASCADE,
  made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX notices_waiting ON notices (kind, lower(recipient), notice_id) WHERE mail_id IS NULL;
CREATE INDEX notices_of_mail ON notices (mail_id);
CREATE INDEX notices_recipient ON notices (lower(recipient));
CREATE INDEX mails_made ON mails (lower(recipient), kind, made_at);

CREATE FUNCTION put_watch(held bigint, given_email text, given_about text, given_source text, given_sku text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  watch uuid;
BEGIN
  PERFORM hold_fence(held);
  INSERT INTO watches (email, about, source, sku) VALUES (given_email, given_about, given_source, given_sku)
    ON CONFLICT (email, about, source, sku) DO UPDATE SET email = excluded.email RETURNING id INTO watch;
  RETURN watch;
END $$;

CREATE OR REPLACE FUNCTION put_watch(held bigint, given_email text, given_source text, given_sku text) RETURNS uuid
LANGUAGE sql AS $$ SELECT put_watch(held, given_email, 'prices', given_source, given_sku) $$;

-- What was to be told and was not yet, is of no interest any more.
CREATE OR REPLACE FUNCTION delete_watch(held bigint, watch uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  DELETE FROM notices WHERE notices.watch = delete_watch.watch AND notices.mail_id IS NULL;
  DELETE FROM watches WHERE watches.id = delete_watch.watch;
  RETURN FOUND;
END $$;

-- One watch an address, the narrowest: who watches an item in two ways is told once.
CREATE FUNCTION watchers(wanted text, given_source text, given_sku text) RETURNS TABLE (watch uuid, email text)
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT ON (lower(watches.email)) watches.id, watches.email FROM watches
  WHERE watches.about = wanted AND (watches.source IS NULL OR watches.source = given_source) AND (watches.sku IS NULL OR watches.sku = given_sku)
  ORDER BY lower(watches.email), watches.sku NULLS LAST, watches.source NULLS LAST, watches.id
$$;

-- Whichever way a file comes to be rejected; a file that is put back and rejected again is told again.
CREATE FUNCTION notice_rejected_file() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.state = 'rejected' AND OLD.opened_at = NEW.opened_at THEN RETURN NULL; END IF;
  INSERT INTO notices (key, kind, recipient, watch, content, traceparent)
    SELECT concat_ws('/', 'file-rejected', NEW.file_id, extract(epoch FROM NEW.opened_at), lower(found.email)), 'file-rejected',
      found.email, found.watch, jsonb_build_object('kind', 'file-rejected', 'name', NEW.name, 'openedAt', NEW.opened_at,
        'reason', NEW.reason, 'problems', coalesce(NEW.answer->'problems', '[]')), NEW.traceparent
    FROM watchers('files', substring(NEW.name FROM '^[a-z0-9-]+'), NULL) AS found
    ON CONFLICT (key) DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER files_rejected AFTER INSERT OR UPDATE ON files FOR EACH ROW
  WHEN (NEW.state = 'rejected') EXECUTE FUNCTION notice_rejected_file();

-- Price drops of the next events of the feed, and a change of leader: once, since the cursor moves with what is inserted.
-- Whether there may be more of the feed.
CREATE FUNCTION make_notices(held bigint, events_max integer, trace text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  stood mail_cursor;
  seen_to bigint;
  seen integer;
  leader text;
BEGIN
  PERFORM hold_fence(held);
  SELECT mail_cursor.* INTO stood FROM mail_cursor WHERE mail_cursor.id = 1 FOR UPDATE;
  SELECT max(next.id), count(*) INTO seen_to, seen
    FROM (SELECT feed.id FROM feed WHERE feed.id > stood.matched_to ORDER BY feed.id LIMIT events_max) AS next;
  IF seen > 0 THEN
    INSERT INTO notices (key, kind, recipient, watch, content, traceparent)
      SELECT concat_ws('/', 'price-drop', feed.source, feed.sku, feed.item_version, lower(found.email)), 'price-drop',
        found.email, found.watch, jsonb_build_object('kind', 'price-drop', 'source', feed.source, 'sku', feed.sku,
          'title', feed.title, 'price', feed.price, 'previousPrice', feed.previous_price, 'currency', feed.currency,
          'inStock', feed.in_stock), feed.traceparent
      FROM feed CROSS JOIN LATERAL watchers('prices', feed.source, feed.sku) AS found
      WHERE feed.id > stood.matched_to AND feed.id <= seen_to AND feed.change = 'price' AND feed.price < feed.previous_price
      ORDER BY feed.id
      ON CONFLICT (key) DO NOTHING;
    UPDATE mail_cursor SET matched_to = seen_to WHERE mail_cursor.id = 1;
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
  RETURN seen = events_max;
END $$;

-- Each row is one mail to be made: the oldest of its notices has waited for others of its kind (`gather_ms`), and the
-- last mail of that kind to that address is long enough ago (`quiet_ms`). The newest notice names the mail.
CREATE FUNCTION due_digests(held bigint, kinds text[], gather_ms integer[], quiet_ms integer[], mails_max integer, notices_max integer)
RETURNS TABLE (key text, recipient text, watch uuid, notice_ids bigint[], contents jsonb, traceparent text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  RETURN QUERY
    WITH waiting AS (
      SELECT notices.kind, lower(notices.recipient) AS addressee, min(notices.made_at) AS since
      FROM notices WHERE notices.mail_id IS NULL GROUP BY notices.kind, lower(notices.recipient)
    ), due AS (
      SELECT waiting.kind, waiting.addressee
      FROM waiting JOIN unnest(kinds, gather_ms, quiet_ms) AS rule (kind, gather, quiet) ON rule.kind = waiting.kind
      WHERE waiting.since <= clock_timestamp() - rule.gather * interval '1 ms' AND NOT EXISTS (
        SELECT FROM mails WHERE mails.kind = waiting.kind AND lower(mails.recipient) = waiting.addressee
          AND mails.made_at > clock_timestamp() - rule.quiet * interval '1 ms')
      ORDER BY waiting.since LIMIT mails_max)
    SELECT (array_agg(told.key ORDER BY told.notice_id DESC))[1], min(told.recipient), (array_agg(told.watch ORDER BY told.notice_id))[1],
      array_agg(told.notice_id ORDER BY told.notice_id), jsonb_agg(told.content ORDER BY told.notice_id),
      (array_agg(told.traceparent ORDER BY told.notice_id DESC))[1]
    FROM due CROSS JOIN LATERAL (
      SELECT notices.* FROM notices
      WHERE notices.kind = due.kind AND lower(notices.recipient) = due.addressee AND notices.mail_id IS NULL
      ORDER BY notices.notice_id LIMIT notices_max) AS told
    GROUP BY due.kind, due.addressee;
END $$;

-- The mail tells its notices; without a key there is none, since the address gets no mail. Nothing happens when one of the
-- notices is told already, or erased.
CREATE FUNCTION queue_digest(held bigint, told bigint[], mail_key text, mail_kind text, mail_sender text, mail_recipient text,
  mail_message_id text, content bytea, trace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  waiting integer;
  made uuid;
BEGIN
  PERFORM hold_fence(held);
  PERFORM FROM notices WHERE notices.notice_id = ANY (told) AND notices.mail_id IS NULL ORDER BY notices.notice_id FOR UPDATE;
  GET DIAGNOSTICS waiting = ROW_COUNT;
  IF waiting <> cardinality(told) THEN RETURN; END IF;
  IF mail_key IS NULL THEN
    DELETE FROM notices WHERE notices.notice_id = ANY (told);
    RETURN;
  END IF;
  INSERT INTO mails (key, kind, sender, recipient, message_id, bytes, traceparent, state, detail)
    SELECT mail_key, mail_kind, mail_sender, mail_recipient, mail_message_id, content, trace,
      CASE WHEN suppressions.recipient IS NULL THEN 'queued' ELSE 'suppressed' END, suppressions.detail
    FROM (SELECT lower(mail_recipient) AS addressee) AS given LEFT JOIN suppressions ON suppressions.recipient = given.addressee
    -- Made by a node of the release before.
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING mails.mail_id INTO made;
  UPDATE notices SET mail_id = made WHERE notices.notice_id = ANY (told);
END $$;

-- Everything that names the address, in whatever case; that it was erased is not kept either. A mail that is being sent at
-- this moment still goes out.
CREATE FUNCTION erase_address(held bigint, address text) RETURNS TABLE (watches bigint, mails bigint, suppressions bigint)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  DELETE FROM notices WHERE lower(notices.recipient) = lower(address);
  WITH gone AS (DELETE FROM watches AS w WHERE lower(w.email) = lower(address) RETURNING 1) SELECT count(*) INTO watches FROM gone;
  WITH gone AS (DELETE FROM mails AS m WHERE lower(m.recipient) = lower(address) RETURNING 1) SELECT count(*) INTO mails FROM gone;
  WITH gone AS (DELETE FROM suppressions AS s WHERE s.recipient = lower(address) RETURNING 1) SELECT count(*) INTO suppressions FROM gone;
  RETURN NEXT;
END $$;
