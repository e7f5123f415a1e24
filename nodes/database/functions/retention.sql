-- What is past its time goes, in small steps; nodes/retention.ts takes them in turns. All of it is found by indexes on
-- times: rows come in the order of their time, so that such an index grows at one end and costs much less than one by key.

-- One step of retention: at most `rows_max` of one table, so that a claim waits for no more than that. How many rows went;
-- fewer than `rows_max` means that no more are past their time. The cutoff is taken once: a comparison with a clock that
-- runs on is never looked up in an index. And the oldest first, or the planner would read the table from its start until
-- it has enough: all of it on a day without any.
CREATE OR REPLACE FUNCTION sweep_step(given_term bigint, what text, rows_max integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  days CONSTANT integer := CASE what
    WHEN 'staged_rows' THEN 1 WHEN 'leases' THEN 1
    WHEN 'feed' THEN 30 WHEN 'deliveries' THEN 30 WHEN 'bytes of mails' THEN 30
    WHEN 'crawls' THEN 90 WHEN 'dead_letters' THEN 90
    ELSE 400 END;
  cutoff CONSTANT timestamptz := clock_timestamp() - days * interval '1 day';
  swept integer;
BEGIN
  PERFORM hold_fence(given_term);
  CASE what
    WHEN 'staged_rows' THEN
      DELETE FROM staged_rows WHERE ctid = ANY (ARRAY(SELECT ctid FROM staged_rows WHERE staged_at < cutoff ORDER BY staged_at LIMIT rows_max));
    WHEN 'leases' THEN
      DELETE FROM leases WHERE ctid = ANY (ARRAY(SELECT ctid FROM leases WHERE expires_at < cutoff ORDER BY expires_at LIMIT rows_max));
    WHEN 'feed' THEN
      -- From its lower end and without a gap: times of two writers may overlap. What was not matched against the watches yet stays.
      DELETE FROM feed WHERE id IN (
        SELECT first.id FROM (
          SELECT next.id, bool_and(next.at < cutoff) OVER (ORDER BY next.id) AS is_over
          FROM (SELECT feed.id, feed.at FROM feed WHERE feed.id <= (SELECT matched_to FROM mail_cursor WHERE mail_cursor.id = 1)
            ORDER BY feed.id LIMIT rows_max) AS next
        ) AS first WHERE first.is_over);
    WHEN 'deliveries' THEN
      DELETE FROM deliveries WHERE ctid = ANY (ARRAY(SELECT ctid FROM deliveries WHERE at < cutoff ORDER BY at LIMIT rows_max));
    WHEN 'item_versions' THEN
      DELETE FROM item_versions WHERE ctid = ANY (ARRAY(SELECT ctid FROM item_versions WHERE changed_at < cutoff ORDER BY changed_at LIMIT rows_max));
    WHEN 'crawls' THEN
      DELETE FROM crawls WHERE ctid = ANY (ARRAY(SELECT ctid FROM crawls
        WHERE status IN ('finished', 'failed') AND changed_at < cutoff ORDER BY changed_at LIMIT rows_max));
    WHEN 'files' THEN
      DELETE FROM files WHERE ctid = ANY (ARRAY(SELECT ctid FROM files WHERE changed_at < cutoff ORDER BY changed_at LIMIT rows_max));
    WHEN 'bytes of mails' THEN
      UPDATE mails SET bytes = NULL WHERE ctid = ANY (ARRAY(SELECT ctid FROM mails
        WHERE bytes IS NOT NULL AND state IN ('sent', 'failed', 'suppressed') AND changed_at < cutoff ORDER BY changed_at LIMIT rows_max));
    WHEN 'mails' THEN
      DELETE FROM mails WHERE ctid = ANY (ARRAY(SELECT ctid FROM mails WHERE changed_at < cutoff ORDER BY changed_at LIMIT rows_max));
    WHEN 'dead_letters' THEN
      DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(SELECT ctid FROM dead_letters
        WHERE state IN ('sent', 'discarded') AND changed_at < cutoff ORDER BY changed_at LIMIT rows_max));
    WHEN 'dead_letter_actions' THEN
      DELETE FROM dead_letter_actions WHERE ctid = ANY (ARRAY(SELECT ctid FROM dead_letter_actions WHERE at < cutoff ORDER BY at LIMIT rows_max));
  END CASE;
  GET DIAGNOSTICS swept = ROW_COUNT;
  RETURN swept;
END $$;
