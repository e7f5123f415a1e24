-- Up Migration
-- A letter that the broker does not take could not be given up: what is to be sent again may be discarded too.

-- Those that a decision can be made about: `ids`, or all of a `group`, `queue`, `code`, `source`, or all.
DROP FUNCTION waiting_dead_letters(jsonb);
CREATE FUNCTION waiting_dead_letters(selection jsonb, doing text DEFAULT 'retry') RETURNS SETOF dead_letters LANGUAGE sql STABLE AS $$
  SELECT * FROM dead_letters WHERE (state = 'waiting' OR (doing = 'discard' AND state = 'sending'))
    AND (selection->'ids' IS NULL OR dead_letter_id IN (SELECT value::bigint FROM jsonb_array_elements_text(selection->'ids')))
    AND (selection->>'group' IS NULL OR group_id = selection->>'group')
    AND (selection->>'queue' IS NULL OR queue = selection->>'queue')
    AND (selection->>'code' IS NULL OR code = selection->>'code')
    AND (selection->>'source' IS NULL OR source = selection->>'source')
$$;

-- A step of one action; how many letters it settled. Bounded, so that the fence is held for a short time only. A letter that is
-- discarded while it is being sent may have been sent: both actions say so.
CREATE OR REPLACE FUNCTION settle_dead_letters(held bigint, given_action uuid, doing text, given_who text, why text, selection jsonb,
  up_to bigint, letters_max integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  settled integer;
BEGIN
  PERFORM hold_fence(held);
  INSERT INTO dead_letter_actions (action_id, action, who, reason, detail, letters) VALUES (given_action, doing, given_who, why, selection, 0)
    ON CONFLICT (action_id) DO NOTHING;
  WITH chosen AS (
    SELECT dead_letters.dead_letter_id FROM dead_letters
    WHERE dead_letters.dead_letter_id IN (
      SELECT waiting.dead_letter_id FROM waiting_dead_letters(selection, doing) AS waiting
      WHERE waiting.dead_letter_id <= up_to ORDER BY waiting.dead_letter_id LIMIT letters_max)
      -- Looked at again: another action may have settled it between the two.
      AND (dead_letters.state = 'waiting' OR (doing = 'discard' AND dead_letters.state = 'sending'))
    FOR UPDATE
  ), changed AS (
    UPDATE dead_letters SET state = CASE doing WHEN 'retry' THEN 'sending' ELSE 'discarded' END,
      attempts = dead_letters.attempts + CASE doing WHEN 'retry' THEN 1 ELSE 0 END, changed_at = clock_timestamp()
    FROM chosen WHERE dead_letters.dead_letter_id = chosen.dead_letter_id RETURNING dead_letters.dead_letter_id
  ), acted AS (
    INSERT INTO dead_letter_acted SELECT changed.dead_letter_id, given_action FROM changed RETURNING 1
  )
  SELECT count(*) INTO settled FROM acted;
  UPDATE dead_letter_actions SET letters = letters + settled WHERE action_id = given_action;
  RETURN settled;
END $$;
