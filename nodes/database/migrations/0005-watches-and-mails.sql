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
  told_leader text,
  -- The event that some of its watchers were told of already, and the last of these in the order of addresses. NULL between two
  -- events; without an address it begins anew, and who was told is known by the key of the notice.
  telling bigint,
  told_to text
);
INSERT INTO mail_cursor VALUES (1, 0, NULL);

-- The outbox, and the only scheduler of mails. Bytes are kept for a shorter time than rows.
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
) WITH (autovacuum_vacuum_scale_factor = 0.05);
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

-- A trigger needs its function before; nodes/database/functions/notices.sql says what it does.
CREATE FUNCTION notice_rejected_file() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER files_rejected AFTER INSERT OR UPDATE ON files FOR EACH ROW
  WHEN (NEW.state = 'rejected') EXECUTE FUNCTION notice_rejected_file();
