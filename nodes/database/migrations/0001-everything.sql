-- Up Migration
-- The schema of release 0.1. PostgreSQL 18 is the minimum (RETURNING old). Times are the database's own: no client's
-- clock decides about a lease, a due mail or a crawl. Forward only: later files expand first and contract a release later.

-- One row each -----------------------------------------------------------------------------------------------------

CREATE TABLE cluster (
  id smallint PRIMARY KEY CHECK (id = 1),
  name text NOT NULL,
  -- Two databases behind one cluster name are told apart by it; vote files and datagrams carry it.
  cluster_id uuid NOT NULL DEFAULT gen_random_uuid()
);

-- The term that may write. Every write holds this row FOR SHARE in the same statement.
CREATE TABLE fence (
  id smallint PRIMARY KEY CHECK (id = 1),
  term bigint NOT NULL,
  -- node id/boot id, so that a claim whose answer was lost can be asked again.
  holder text
);
INSERT INTO fence VALUES (1, 0, NULL);

-- Numbers of the feed: handed out in the statement that writes, so they are dense and in commit order. The counts, of
-- all items and of all versions ever applied, save a count(*) over large tables.
CREATE TABLE feed_head (
  id smallint PRIMARY KEY CHECK (id = 1),
  feed uuid NOT NULL DEFAULT gen_random_uuid(),
  last bigint NOT NULL DEFAULT 0,
  items bigint NOT NULL DEFAULT 0,
  item_versions bigint NOT NULL DEFAULT 0
);
INSERT INTO feed_head (id) VALUES (1);

-- What was ever done, counted by what did it: the tables lose rows to retention, and are too large to count.
CREATE TABLE totals (
  id smallint PRIMARY KEY CHECK (id = 1),
  files_applied bigint NOT NULL DEFAULT 0,
  mails_sent bigint NOT NULL DEFAULT 0
);
INSERT INTO totals (id) VALUES (1);

-- How far watches were matched against the feed.
CREATE TABLE mail_cursor (id smallint PRIMARY KEY CHECK (id = 1), matched_to bigint NOT NULL);
INSERT INTO mail_cursor VALUES (1, 0);

-- Membership: the generation each node runs in, or last ran in, and its term at that start. See nodes/database/admission.ts.
CREATE TABLE members (
  node_id text PRIMARY KEY,
  generation integer NOT NULL,
  term bigint NOT NULL DEFAULT 0,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- The voters of each generation, as its first node told.
CREATE TABLE generations (generation integer PRIMARY KEY, voters text[] NOT NULL);

-- Sources and items ------------------------------------------------------------------------------------------------

CREATE TABLE sources (
  name text PRIMARY KEY,
  -- contracts/source.ts
  definition jsonb NOT NULL,
  -- Intakes rise for ever: they are the upper part of every version.
  last_intake integer NOT NULL DEFAULT 0,
  next_crawl_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- contracts/node-api.ts, CrawlState: what the scraper remembers between crawls.
  -- json, not jsonb: that one refuses texts with half a surrogate pair, as a page may have them.
  crawl_state json
);

CREATE TABLE items (
  source text NOT NULL,
  sku text NOT NULL,
  version bigint NOT NULL,
  title text NOT NULL,
  url text,
  image_url text,
  price numeric(16, 4),
  currency text,
  in_stock boolean NOT NULL,
  stock integer,
  vanished boolean NOT NULL,
  term bigint NOT NULL,
  traceparent text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (source, sku)
);

-- Every version that was applied. Kept for 400 days.
CREATE TABLE item_versions (
  LIKE items INCLUDING DEFAULTS,
  PRIMARY KEY (source, sku, version)
);
CREATE INDEX item_versions_age ON item_versions USING brin (changed_at);

-- What changed, in commit order. Kept for 30 days; a reader further behind starts anew.
CREATE TABLE feed (
  id bigint PRIMARY KEY,
  source text NOT NULL,
  sku text NOT NULL,
  item_version bigint NOT NULL,
  change text NOT NULL CHECK (change IN ('new', 'price', 'stock', 'content', 'vanished', 'returned')),
  title text NOT NULL,
  price numeric(16, 4),
  previous_price numeric(16, 4),
  currency text,
  in_stock boolean NOT NULL,
  term bigint NOT NULL,
  traceparent text NOT NULL,
  at timestamptz NOT NULL
);

-- Crawls, files, leases --------------------------------------------------------------------------------------------

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
  UNIQUE (source, intake)
);
-- One crawl of a source at a time.
CREATE UNIQUE INDEX crawls_open ON crawls (source) WHERE status IN ('running', 'paused');

-- The ledger: one row per file as the FTP server shows it, opened before the upload. Kept for 400 days.
CREATE TABLE files (
  file_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  size bigint NOT NULL,
  modified_at timestamptz NOT NULL,
  -- 0 while it has none: it was rejected at sight.
  intake integer NOT NULL,
  state text NOT NULL CHECK (state IN ('opened', 'applied', 'rejected')),
  -- Set when ftp-sync has moved it to done/ or rejected/.
  moved_to text,
  reason text,
  sha256 text,
  -- contracts/node-api.ts, FileAnswer.
  answer jsonb,
  traceparent text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (name, size, modified_at)
);
CREATE INDEX files_changed ON files (changed_at DESC);

-- Rows of an upload before they are judged. `upload` is a uuid of that very upload, so two never share rows. Swept
-- after a day. Not logged: after a crash of the database the upload is repeated anyway.
CREATE UNLOGGED TABLE staged_rows (
  upload uuid NOT NULL,
  place integer NOT NULL,
  source text NOT NULL,
  sku text NOT NULL,
  version bigint NOT NULL,
  title text NOT NULL,
  url text,
  image_url text,
  price numeric(16, 4),
  currency text,
  in_stock boolean NOT NULL,
  stock integer,
  vanished boolean NOT NULL,
  staged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (upload, place)
);
CREATE INDEX staged_rows_keys ON staged_rows (upload, source, sku);
CREATE INDEX staged_rows_age ON staged_rows USING brin (staged_at);

-- Kept for a day after the end.
CREATE TABLE leases (name text PRIMARY KEY, owner text NOT NULL, expires_at timestamptz NOT NULL);

-- Mail ---------------------------------------------------------------------------------------------------------------

CREATE TABLE watches (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL,
  source text,
  sku text,
  UNIQUE NULLS NOT DISTINCT (email, source, sku)
);

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

-- Recipients in lower case whose server refused for good. Kept until an operator removes them.
CREATE TABLE suppressions (recipient text PRIMARY KEY, detail text NOT NULL, since timestamptz NOT NULL DEFAULT clock_timestamp());

-- Functions: each is one round trip, so that no lock waits for a client ------------------------------------------------
-- SQLSTATEs of class BT are ours: BT001 stale term, BT002 lease held, BT003 lease lost, BT004 not found.

-- The table lock queues fairly behind the writers of the older term: a row lock alone starves, since share lockers
-- overtake a waiting update. Readers go on.
CREATE FUNCTION claim_fence(wanted bigint, claimer text) RETURNS TABLE (claimed boolean, current_term bigint)
LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE fence IN EXCLUSIVE MODE;
  UPDATE fence SET term = wanted, holder = claimer
    WHERE fence.id = 1 AND (fence.term < wanted OR (fence.term = wanted AND fence.holder = claimer));
  claimed := FOUND;
  SELECT fence.term INTO current_term FROM fence WHERE fence.id = 1;
  RETURN NEXT;
END $$;

-- Keeps the term from being over until this statement's transaction ends.
CREATE FUNCTION hold_fence(wanted bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM fence WHERE fence.id = 1 AND fence.term = wanted FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'term % is over', wanted
      USING ERRCODE = 'BT001', DETAIL = (SELECT fence.term::text FROM fence WHERE fence.id = 1);
  END IF;
END $$;

CREATE FUNCTION put_source(held bigint, given_name text, given_definition jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  INSERT INTO sources (name, definition) VALUES (given_name, given_definition)
    ON CONFLICT (name) DO UPDATE SET definition = excluded.definition,
      -- A shorter interval counts at once. A partner has none, and NULL is not the least.
      next_crawl_at = least(sources.next_crawl_at,
        clock_timestamp() + (excluded.definition->>'everySeconds')::integer * interval '1 s');
END $$;

CREATE FUNCTION sum_counts(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(key, total), '{}')
  FROM (SELECT key, sum(value::bigint) AS total FROM (SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other)) AS each GROUP BY key) AS sums
$$;

-- The crawl that is due, or an abandoned one taken up again; no row when there is nothing to do.
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
    -- What has waited longest, so that a crawl that pauses again and again holds up no other source.
    ORDER BY coalesce(crawls.changed_at, sources.next_crawl_at) LIMIT 1 FOR UPDATE OF sources SKIP LOCKED;
  IF NOT FOUND THEN RETURN; END IF;
  SELECT crawls.* INTO open_crawl FROM crawls WHERE crawls.source = chosen.name AND crawls.status IN ('running', 'paused') FOR UPDATE;
  IF FOUND THEN
    -- Looked at again: it may have been taken between the two statements.
    IF open_crawl.lease_until >= clock_timestamp() THEN RETURN; END IF;
    UPDATE crawls SET owner = worker, lease_until = clock_timestamp() + lease_ms * interval '1 ms', status = 'running',
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

CREATE FUNCTION update_crawl(held bigint, crawl uuid, worker text, lease_ms integer, new_status text, new_state json, new_counts jsonb)
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
  UPDATE crawls SET status = new_status, begun = true, counts = new_counts, changed_at = clock_timestamp(),
    lease_until = CASE new_status WHEN 'running' THEN clock_timestamp() + lease_ms * interval '1 ms' ELSE NULL END
    WHERE crawls.crawl_id = crawl;
  UPDATE sources SET crawl_state = new_state,
    next_crawl_at = CASE new_status WHEN 'finished' THEN clock_timestamp() + (sources.definition->>'everySeconds')::integer * interval '1 s' ELSE sources.next_crawl_at END
    WHERE sources.name = found_crawl.source;
END $$;

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

-- `crawl_intake`: of the crawl that deposited it; NULL takes the source's next one. `refusal`: why it cannot be read.
CREATE FUNCTION open_file(held bigint, given_name text, given_size bigint, given_modified_at timestamptz, trace text,
  given_source text, crawl_intake integer, refusal text)
RETURNS TABLE (file_id uuid, intake integer, state text, reason text) LANGUAGE plpgsql AS $$
DECLARE
  known files;
  new_intake integer := crawl_intake;
  why text := refusal;
BEGIN
  PERFORM hold_fence(held);
  -- Those who open files of one source do it one after the other, or a new file would be entered twice.
  PERFORM FROM sources WHERE sources.name = given_source FOR UPDATE;
  SELECT files.* INTO known FROM files WHERE files.name = given_name AND files.size = given_size AND files.modified_at = given_modified_at FOR UPDATE;
  -- A file that was rejected, moved away and put back is a new try; one that was applied is done for ever.
  IF FOUND AND NOT (known.state = 'rejected' AND known.moved_to IS NOT NULL) THEN
    RETURN QUERY SELECT known.file_id, known.intake, known.state, known.reason;
    RETURN;
  END IF;
  -- The new try keeps its place among the source's files: what came after it stays newer.
  new_intake := coalesce(new_intake, nullif(known.intake, 0));
  IF why IS NULL AND NOT EXISTS (SELECT FROM sources WHERE sources.name = given_source) THEN
    why := format('no source %s is configured', given_source);
  ELSIF why IS NULL AND crawl_intake IS NOT NULL AND NOT EXISTS (
    SELECT FROM crawls WHERE crawls.source = given_source AND crawls.intake = crawl_intake) THEN
    why := format('there was no crawl %s of %s', crawl_intake, given_source);
  END IF;
  IF why IS NULL AND new_intake IS NULL THEN
    UPDATE sources SET last_intake = sources.last_intake + 1 WHERE sources.name = given_source RETURNING sources.last_intake INTO new_intake;
  END IF;
  RETURN QUERY INSERT INTO files AS f (name, size, modified_at, intake, state, reason, traceparent)
    VALUES (given_name, given_size, given_modified_at, coalesce(new_intake, 0), CASE WHEN why IS NULL THEN 'opened' ELSE 'rejected' END, why, trace)
    ON CONFLICT (name, size, modified_at) DO UPDATE SET intake = excluded.intake, state = excluded.state, reason = excluded.reason,
      moved_to = NULL, answer = NULL, opened_at = clock_timestamp(), changed_at = clock_timestamp()
    RETURNING f.file_id, f.intake, f.state, f.reason;
END $$;

-- What stands is answered: a file is settled once.
CREATE FUNCTION settle_file(held bigint, given_file uuid, new_state text, why text, hash text, new_answer jsonb)
RETURNS TABLE (reason text, answer jsonb) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  UPDATE files SET state = new_state, reason = why, sha256 = hash, answer = new_answer, changed_at = clock_timestamp()
    WHERE files.file_id = given_file AND files.state = 'opened';
  IF FOUND AND new_state = 'applied' THEN UPDATE totals SET files_applied = files_applied + 1; END IF;
  RETURN QUERY SELECT files.reason, files.answer FROM files WHERE files.file_id = given_file;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no file %', given_file USING ERRCODE = 'BT004'; END IF;
END $$;

CREATE FUNCTION move_file(held bigint, given_file uuid, target text, why text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  UPDATE files SET moved_to = target, reason = coalesce(why, files.reason), changed_at = clock_timestamp(),
    -- ftp-sync rejects by itself what the leader cannot even read.
    state = CASE WHEN files.state = 'opened' AND why IS NOT NULL THEN 'rejected' ELSE files.state END
    WHERE files.file_id = given_file;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no file %', given_file USING ERRCODE = 'BT004'; END IF;
END $$;

CREATE FUNCTION put_watch(held bigint, given_email text, given_source text, given_sku text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  watch uuid;
BEGIN
  PERFORM hold_fence(held);
  INSERT INTO watches (email, source, sku) VALUES (given_email, given_source, given_sku)
    ON CONFLICT (email, source, sku) DO UPDATE SET email = excluded.email RETURNING id INTO watch;
  RETURN watch;
END $$;

CREATE FUNCTION delete_watch(held bigint, watch uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  DELETE FROM watches WHERE watches.id = watch;
  RETURN FOUND;
END $$;

-- The mails of feed events (from, to], once: nothing happens when the cursor stands elsewhere already.
CREATE FUNCTION queue_mails(held bigint, cursor_from bigint, cursor_to bigint, keys text[], kinds text[], senders text[],
  recipients text[], message_ids text[], contents bytea[], traces text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  UPDATE mail_cursor SET matched_to = cursor_to WHERE matched_to = cursor_from;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO mails (key, kind, sender, recipient, message_id, bytes, traceparent, state, detail)
    SELECT given.*, CASE WHEN suppressions.recipient IS NULL THEN 'queued' ELSE 'suppressed' END, suppressions.detail
    FROM unnest(keys, kinds, senders, recipients, message_ids, contents, traces)
      AS given (key, kind, sender, recipient, message_id, bytes, traceparent)
    LEFT JOIN suppressions ON suppressions.recipient = lower(given.recipient)
    ON CONFLICT (key) DO NOTHING;
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

-- Bounded, so that one sweep holds the fence for a short time only; the next one goes on.
CREATE FUNCTION sweep(held bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(held);
  DELETE FROM staged_rows WHERE ctid = ANY (ARRAY(SELECT ctid FROM staged_rows WHERE staged_at < clock_timestamp() - interval '1 day' LIMIT 10000));
  -- What was not matched against the watches yet stays.
  DELETE FROM feed WHERE at < clock_timestamp() - interval '30 days' AND id IN (
    SELECT id FROM feed WHERE id <= (SELECT matched_to FROM mail_cursor) ORDER BY id LIMIT 10000);
  DELETE FROM item_versions WHERE ctid = ANY (ARRAY(SELECT ctid FROM item_versions WHERE changed_at < clock_timestamp() - interval '400 days' LIMIT 10000));
  DELETE FROM crawls WHERE ctid = ANY (ARRAY(SELECT ctid FROM crawls WHERE status IN ('finished', 'failed') AND changed_at < clock_timestamp() - interval '90 days' LIMIT 1000));
  DELETE FROM files WHERE ctid = ANY (ARRAY(SELECT ctid FROM files WHERE changed_at < clock_timestamp() - interval '400 days' LIMIT 1000));
  UPDATE mails SET bytes = NULL WHERE ctid = ANY (ARRAY(SELECT ctid FROM mails WHERE bytes IS NOT NULL
    AND state IN ('sent', 'failed', 'suppressed') AND changed_at < clock_timestamp() - interval '30 days' LIMIT 1000));
  DELETE FROM mails WHERE ctid = ANY (ARRAY(SELECT ctid FROM mails WHERE changed_at < clock_timestamp() - interval '400 days' LIMIT 1000));
  DELETE FROM leases WHERE expires_at < clock_timestamp() - interval '1 day';
END $$;
