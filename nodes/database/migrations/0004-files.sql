-- Files of partners and crawls: the ledger, and rows that are staged until nodes/database/files.ts applies them.

-- The ledger: one row per file as the FTP server shows it, opened before the upload.
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
-- For `baton trace`.
CREATE INDEX files_intake ON files (intake);
-- What the name says: contracts/file.ts. Changed by a migration alone, since an index is built on it.
CREATE FUNCTION source_of_file(name text) RETURNS text LANGUAGE sql IMMUTABLE RETURN substring(name FROM '^[a-z0-9-]+');
-- By the time it was first seen: an applied file that is put back is moved again, and is no new one.
CREATE INDEX files_good ON files (source_of_file(name), opened_at DESC) WHERE state = 'applied';

-- Rows of an upload before they are judged. `upload` is a uuid of that very upload, so two never share rows. Swept
-- in the end. Not logged: after a crash of the database the upload is repeated anyway.
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
  -- No index begins with the upload: the planner takes one that it has no statistics of for a single row, and would read all of
  -- it for each range of places, or for each item.
  PRIMARY KEY (place, upload)
);
CREATE INDEX staged_rows_keys ON staged_rows (source, sku, upload);
CREATE INDEX staged_rows_staged ON staged_rows (staged_at);

-- What was ever done and what is open, counted by what did it: the tables lose rows to retention, and are too large to count.
CREATE TABLE totals (
  id smallint PRIMARY KEY CHECK (id = 1),
  files_applied bigint NOT NULL DEFAULT 0,
  files_rejected bigint NOT NULL DEFAULT 0,
  mails_sent bigint NOT NULL DEFAULT 0,
  -- By queue: waiting or being sent again.
  open_dead_letters jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO totals (id) VALUES (1);
