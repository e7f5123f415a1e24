-- Up Migration
-- Watches, what their owners are to be told (notices), and the mails that tell it.

CREATE TABLE watches (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL,
  source text,
  sku text,
  -- The price of items, rejected files of a source, or who leads.
  about text NOT NULL DEFAULT 'prices' CHECK (about IN ('prices', 'files', 'leader')),
  CONSTRAINT watches_once UNIQUE NULLS NOT DISTINCT (email, about, source, sku)
);
CREATE INDEX watches_about ON watches (about, source, sku);

-- How far watches were matched against the feed.
CREATE TABLE mail_cursor (
  id smallint PRIMARY KEY CHECK (id = 1),
  matched_to bigint NOT NULL,
  -- Whom the watchers were told of last; NULL before the first leader, who replaces nobody.
  told_leader text
);
INSERT INTO mail_cursor VALUES (1, 0, NULL);

-- The outbox, and the only scheduler of mails. Bytes are kept for 30 days after the end, rows for 400.
CREATE TABLE mails (
  mail_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  -- kind/entity/version/recipient: two of one key are one mail.
  key text NOT NULL UNIQUE,
  kind text NOT NULL,
  sender text NOT NULL,
  recipient text NOT NULL,
  message_id text NOT NULL,
  bytes bytea,
  traceparent text NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'claimed', 'sent', 'failed', 'suppressed', 'unknown')),
  attempt integer NOT NULL DEFAULT 1,
  -- How often nobody could say whether it was sent.
  unknowns integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- It lies in RabbitMQ: not published again before. Each time it is, it waits twice as long.
  published_until timestamptz,
  publications integer NOT NULL DEFAULT 0,
  -- Of any attempt: a mail that was never tried is not given up.
  first_claimed_at timestamptz,
  owner text,
  lease_until timestamptz,
  detail text,
  made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX mails_due ON mails (due_at) WHERE state IN ('queued', 'unknown');
CREATE INDEX mails_claimed ON mails (lease_until) WHERE state = 'claimed';
CREATE INDEX mails_changed ON mails (changed_at DESC);
CREATE INDEX mails_open_recipient ON mails (lower(recipient)) WHERE state IN ('queued', 'unknown');
CREATE INDEX mails_made ON mails (lower(recipient), kind, made_at);
-- Those alone whose bytes are still to be erased, or each look would pass over a year of mails.
CREATE INDEX mails_with_bytes ON mails (changed_at) WHERE bytes IS NOT NULL AND state IN ('sent', 'failed', 'suppressed');

-- Recipients in lower case whose server refused for good. Kept until an operator removes them.
CREATE TABLE suppressions (recipient text PRIMARY KEY, detail text NOT NULL, since timestamptz NOT NULL DEFAULT clock_timestamp());

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
-- For `baton trace`.
CREATE INDEX notices_item ON notices ((content->>'source'), (content->>'sku')) WHERE kind = 'price-drop';

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

-- What was to be told and was not yet, is of no interest any more.
CREATE FUNCTION delete_watch(held bigint, watch uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  DELETE FROM notices WHERE notices.watch = delete_watch.watch AND notices.mail_id IS NULL;
  DELETE FROM watches WHERE watches.id = delete_watch.watch;
  RETURN FOUND;
END $$;

-- Each part is a step into watches_about: `source IS NULL OR source = ...` would read all watches for each price drop.
CREATE FUNCTION watchers(wanted text, given_source text, given_sku text) RETURNS TABLE (watch uuid, email text)
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT ON (lower(found.email)) found.id, found.email
  FROM (
    SELECT * FROM watches WHERE about = wanted AND source IS NULL AND sku IS NULL
    UNION ALL SELECT * FROM watches WHERE about = wanted AND source = given_source AND sku IS NULL
    UNION ALL SELECT * FROM watches WHERE about = wanted AND source IS NULL AND sku = given_sku
    UNION ALL SELECT * FROM watches WHERE about = wanted AND source = given_source AND sku = given_sku
  ) AS found
  ORDER BY lower(found.email), found.sku NULLS LAST, found.source NULLS LAST, found.id
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
    -- Two of one key are one mail.
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING mails.mail_id INTO made;
  UPDATE notices SET mail_id = made WHERE notices.notice_id = ANY (told);
END $$;

-- Claims that ended without a report become `unknown` and are due again; then what is due and not in RabbitMQ.
CREATE FUNCTION due_mails(held bigint, mails_max integer) RETURNS TABLE (mail_id uuid, attempt integer, traceparent text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  UPDATE mails SET
    state = CASE WHEN mails.first_claimed_at <= clock_timestamp() - interval '24 hours' THEN 'failed' ELSE 'unknown' END,
    unknowns = mails.unknowns + 1, attempt = mails.attempt + 1, owner = NULL, published_until = NULL, publications = 0,
    due_at = clock_timestamp(), detail = 'its claim ended without a report', changed_at = clock_timestamp()
    WHERE mails.state = 'claimed' AND mails.lease_until < clock_timestamp();
  RETURN QUERY SELECT mails.mail_id, mails.attempt, mails.traceparent FROM mails
    WHERE mails.state IN ('queued', 'unknown') AND mails.due_at <= clock_timestamp()
      AND (mails.published_until IS NULL OR mails.published_until < clock_timestamp())
    ORDER BY mails.due_at LIMIT mails_max;
END $$;

CREATE FUNCTION mail_published(held bigint, mail uuid, published_attempt integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  -- Messages of a mail that nobody takes pile up in the queue, so each repetition waits longer, up to two hours.
  UPDATE mails SET published_until = clock_timestamp() + interval '120 s' * power(2, least(publications, 6)), publications = publications + 1
    WHERE mails.mail_id = mail AND mails.attempt = published_attempt AND mails.state IN ('queued', 'unknown');
END $$;

-- No row when there is nothing to send: `skip` says why.
CREATE FUNCTION claim_mail(held bigint, mail uuid, claimed_attempt integer, worker text)
RETURNS TABLE (skip text, sender text, recipient text, content bytea, message_id text) LANGUAGE plpgsql AS $$
DECLARE
  found_mail mails;
BEGIN
  PERFORM hold_fence(held);
  SELECT mails.* INTO found_mail FROM mails WHERE mails.mail_id = mail FOR UPDATE;
  IF NOT FOUND THEN skip := 'there is no such mail'; RETURN NEXT; RETURN; END IF;
  IF found_mail.attempt <> claimed_attempt THEN
    skip := format('attempt %s is under way', found_mail.attempt); RETURN NEXT; RETURN;
  END IF;
  -- Also for the worker that claimed it: should its answer be lost, the lease ends; sent twice it could not be taken back.
  IF found_mail.state NOT IN ('queued', 'unknown') THEN
    skip := format('it is %s', found_mail.state); RETURN NEXT; RETURN;
  END IF;
  IF found_mail.bytes IS NULL THEN skip := 'its bytes were erased'; RETURN NEXT; RETURN; END IF;
  UPDATE mails SET state = 'claimed', owner = worker, lease_until = clock_timestamp() + interval '120 s',
    first_claimed_at = coalesce(mails.first_claimed_at, clock_timestamp()), changed_at = clock_timestamp()
    WHERE mails.mail_id = mail;
  sender := found_mail.sender;
  recipient := found_mail.recipient;
  content := found_mail.bytes;
  message_id := found_mail.message_id;
  RETURN NEXT;
END $$;

-- Back-off with jitter up to 24 h after the first attempt. A late report of an earlier attempt that says `sent` counts:
-- it was sent.
CREATE FUNCTION report_mail(held bigint, mail uuid, reported_attempt integer, worker text, outcome text, what text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  found_mail mails;
  wait interval;
BEGIN
  PERFORM hold_fence(held);
  SELECT mails.* INTO found_mail FROM mails WHERE mails.mail_id = mail FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no mail %', mail USING ERRCODE = 'BT004'; END IF;
  IF outcome = 'sent' AND found_mail.state NOT IN ('sent', 'failed', 'suppressed') THEN
    UPDATE mails SET state = 'sent', detail = what, owner = NULL, changed_at = clock_timestamp() WHERE mails.mail_id = mail;
    UPDATE totals SET mails_sent = mails_sent + 1;
    RETURN;
  END IF;
  IF found_mail.state <> 'claimed' OR found_mail.attempt <> reported_attempt OR found_mail.owner IS DISTINCT FROM worker THEN RETURN; END IF;
  IF outcome = 'rejected' THEN
    INSERT INTO suppressions (recipient, detail) VALUES (lower(found_mail.recipient), what) ON CONFLICT DO NOTHING;
    UPDATE mails SET state = 'suppressed', detail = what, changed_at = clock_timestamp()
      WHERE lower(mails.recipient) = lower(found_mail.recipient) AND mails.state IN ('queued', 'unknown');
  END IF;
  wait := least(interval '1 hour', interval '5 s' * power(2, least(found_mail.attempt - 1, 20))) * (0.5 + random() / 2);
  IF outcome = 'rejected' OR clock_timestamp() + wait > found_mail.first_claimed_at + interval '24 hours' THEN
    UPDATE mails SET state = 'failed', owner = NULL, detail = what, changed_at = clock_timestamp(),
      unknowns = found_mail.unknowns + CASE outcome WHEN 'unknown' THEN 1 ELSE 0 END WHERE mails.mail_id = mail;
  ELSE
    UPDATE mails SET state = CASE outcome WHEN 'unknown' THEN 'unknown' ELSE 'queued' END, attempt = found_mail.attempt + 1,
      unknowns = found_mail.unknowns + CASE outcome WHEN 'unknown' THEN 1 ELSE 0 END,
      due_at = clock_timestamp() + wait, published_until = NULL, publications = 0, owner = NULL, detail = what,
      changed_at = clock_timestamp() WHERE mails.mail_id = mail;
  END IF;
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
