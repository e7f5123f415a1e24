-- The ledger of files: opened, settled once, moved. nodes/database/files.ts applies the rows in between.

-- `crawl_intake`: of the crawl that deposited it; NULL takes the source's next one. `refusal`: why it cannot be read.
CREATE OR REPLACE FUNCTION open_file(given_term bigint, given_name text, given_size bigint, given_modified_at timestamptz, trace text,
  given_source text, crawl_intake integer, refusal text)
RETURNS TABLE (file_id uuid, intake integer, state text, reason text) LANGUAGE plpgsql AS $$
DECLARE
  known files;
  source sources;
  is_off boolean;
  new_intake integer := crawl_intake;
  why text := refusal;
BEGIN
  PERFORM hold_fence(given_term);
  -- Those who open files of one source do it one after the other, or a new file would be entered twice.
  SELECT sources.* INTO source FROM sources WHERE sources.name = given_source AND sources.deleted_at IS NULL FOR UPDATE;
  -- A crawl that is over has been read, and its messages were taken.
  is_off := crawl_intake IS NULL AND NOT coalesce((source.definition->>'enabled')::boolean, true);
  SELECT files.* INTO known FROM files WHERE files.name = given_name AND files.size = given_size AND files.modified_at = given_modified_at FOR UPDATE;
  -- A file that was rejected, moved away and put back is a new try; one that was applied is done for ever.
  IF FOUND AND NOT (known.state = 'rejected' AND known.moved_to IS NOT NULL) AND NOT (known.state = 'opened' AND is_off) THEN
    RETURN QUERY SELECT known.file_id, known.intake, known.state, known.reason;
    RETURN;
  END IF;
  -- The new try keeps its place among the source's files: what came after it stays newer.
  new_intake := coalesce(new_intake, nullif(known.intake, 0));
  IF why IS NULL AND source.name IS NULL THEN
    why := format('no source %s is configured', given_source);
  ELSIF why IS NULL AND is_off THEN
    why := format('source %s is switched off: set its `enabled` to true, and have the file tried again', given_source);
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

-- What stands is answered: a file is settled once. `snapshot_of`: the source of which it told all there is, up to that version.
CREATE OR REPLACE FUNCTION settle_file(given_term bigint, given_file uuid, new_state text, why text, hash text, new_answer jsonb,
  snapshot_of text, up_to bigint)
RETURNS TABLE (reason text, answer jsonb) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  -- The source first, as open_file does: the other order could deadlock with it.
  PERFORM FROM sources WHERE sources.name = snapshot_of FOR UPDATE;
  UPDATE files SET state = new_state, reason = why, sha256 = hash, answer = new_answer, changed_at = clock_timestamp()
    WHERE files.file_id = given_file AND files.state = 'opened';
  IF FOUND AND new_state = 'applied' THEN
    UPDATE totals SET files_applied = files_applied + 1;
    UPDATE sources SET snapshot_version = greatest(sources.snapshot_version, up_to) WHERE sources.name = snapshot_of;
  END IF;
  RETURN QUERY SELECT files.reason, files.answer FROM files WHERE files.file_id = given_file;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no file %', given_file USING ERRCODE = 'BT004'; END IF;
END $$;

-- Without a target it is rejected and lies where it was: what it is rejected for has to be known before it is moved away.
CREATE OR REPLACE FUNCTION move_file(given_term bigint, given_file uuid, target text, why text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  UPDATE files SET moved_to = coalesce(target, files.moved_to), reason = coalesce(why, files.reason), changed_at = clock_timestamp(),
    -- ftp-sync rejects by itself what the leader cannot even read.
    state = CASE WHEN files.state = 'opened' AND why IS NOT NULL THEN 'rejected' ELSE files.state END
    WHERE files.file_id = given_file;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no file %', given_file USING ERRCODE = 'BT004'; END IF;
END $$;

-- The last of the next `range` items of a source; NULL when there are not so many. Never by sorting what is left of it.
CREATE OR REPLACE FUNCTION end_of_range(given_source text, after text, range integer) RETURNS text
LANGUAGE sql STABLE SET enable_sort = off AS $$
  SELECT items.sku FROM items WHERE items.source = given_source AND items.sku > after ORDER BY items.sku OFFSET range - 1 LIMIT 1
$$;
