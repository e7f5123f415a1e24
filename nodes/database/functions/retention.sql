-- What is past its time goes, in small steps; nodes/retention.ts says how long it is kept, and takes the tables in turns. All of
-- it is found by indexes on times: rows come in the order of their time, so that such an index grows at one end and costs much
-- less than one by key.

-- One step of retention: at most `rows_max` of one table, so that a claim waits for no more than that. How many rows went, and the
-- time of the last one; fewer than `rows_max` means that no more are past their time. Nothing comes to be past its time
-- before `since`, where the step before ended: from there on, or each step would pass over all that was deleted since the last
-- vacuum. So would the planner, which looks at the end of an index for the likes of a time that it is told: it is told none. The
-- cutoff is taken once: a comparison with a clock that runs on is never looked up in an index. And the oldest first and
-- unsorted, or a step would read all that is past its time, or on a day without any all of the table.
CREATE OR REPLACE FUNCTION sweep_step(given_term bigint, what text, days integer, rows_max integer, since timestamptz)
RETURNS TABLE (swept integer, reached timestamptz) LANGUAGE plpgsql SET enable_sort = off AS $$
DECLARE
  cutoff CONSTANT timestamptz := clock_timestamp() - days * interval '1 day';
  rule record;
BEGIN
  PERFORM hold_fence(given_term);
  IF what = 'feed' THEN
    RETURN QUERY SELECT sweep_feed(cutoff, rows_max), NULL::timestamptz;
    RETURN;
  END IF;
  SELECT * INTO STRICT rule FROM (VALUES
    ('staged_rows', 'DELETE FROM', 'staged_rows', '', 'staged_at', 'true'),
    ('leases', 'DELETE FROM', 'leases', '', 'expires_at', 'true'),
    ('leaderships', 'DELETE FROM', 'leaderships', '', 'at', 'true'),
    ('deliveries', 'DELETE FROM', 'deliveries', '', 'at', 'true'),
    ('item_versions', 'DELETE FROM', 'item_versions', '', 'changed_at', 'true'),
    ('crawls', 'DELETE FROM', 'crawls', '', 'changed_at', $which$status IN ('finished', 'failed')$which$),
    ('files', 'DELETE FROM', 'files', '', 'changed_at', 'true'),
    ('bytes of mails', 'UPDATE', 'mails', 'SET bytes = NULL', 'changed_at',
      $which$bytes IS NOT NULL AND state IN ('sent', 'failed', 'suppressed')$which$),
    ('mails', 'DELETE FROM', 'mails', '', 'changed_at', 'true'),
    ('dead_letters', 'DELETE FROM', 'dead_letters', '', 'changed_at', $which$state IN ('sent', 'discarded')$which$),
    ('dead_letter_actions', 'DELETE FROM', 'dead_letter_actions', '', 'at', 'true')
  ) AS known (what, verb, from_table, change, time, which) WHERE known.what = sweep_step.what;
  RETURN QUERY EXECUTE format(
    'WITH gone AS (
       %1$s %2$I %3$s WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM %2$I WHERE %5$s AND %4$I >= (SELECT $1) AND %4$I < (SELECT $2) ORDER BY %4$I LIMIT $3))
       RETURNING %4$I AS time)
     SELECT count(*)::integer, max(time) FROM gone',
    rule.verb, rule.from_table, rule.change, rule.time, rule.which) USING coalesce(since, '-infinity'), cutoff, rows_max;
END $$;

-- From its lower end and without a gap: times of two writers may overlap. What was not matched against the watches yet stays.
CREATE OR REPLACE FUNCTION sweep_feed(cutoff timestamptz, rows_max integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  swept integer;
  reached bigint;
BEGIN
  WITH next AS (
    SELECT feed.ctid AS place, feed.id, feed.at FROM feed
    WHERE feed.id >= (SELECT feed_head.first FROM feed_head WHERE feed_head.id = 1)
      AND feed.id <= (SELECT mail_cursor.matched_to FROM mail_cursor WHERE mail_cursor.id = 1)
    ORDER BY feed.id LIMIT rows_max
  ), judged AS (
    SELECT next.place, bool_and(next.at < cutoff) OVER (ORDER BY next.id) AS is_over FROM next
  ), gone AS (
    DELETE FROM feed WHERE feed.ctid = ANY (ARRAY(SELECT judged.place FROM judged WHERE judged.is_over)) RETURNING feed.id
  )
  SELECT count(*), max(gone.id) INTO swept, reached FROM gone;
  IF swept > 0 THEN UPDATE feed_head SET first = reached + 1 WHERE feed_head.id = 1; END IF;
  RETURN swept;
END $$;
