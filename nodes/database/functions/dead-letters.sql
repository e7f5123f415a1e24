-- Dead letters: kept once, decided about by people, sent again by the leader.

CREATE OR REPLACE FUNCTION keep_dead_letters(given_term bigint, queues text[], routing_keys text[], message_ids text[], types text[], sources text[],
  codes text[], reasons text[], group_ids text[], header_tables json[], bodies bytea[], traces text[], retry_counts integer[],
  origins bigint[], fingerprints bytea[], deaths timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  opened jsonb;
BEGIN
  PERFORM hold_fence(given_term);
  WITH entered AS (INSERT INTO dead_letters AS kept (queue, routing_key, message_id, type, source, code, reason, group_id, headers, body, traceparent,
      retries, came_from, fingerprint, died_at, times)
    SELECT once.queue, once.routing_key, once.message_id, once.type, once.source, once.code, once.reason, once.group_id, once.headers,
      once.body, once.traceparent, once.retries, once.came_from, once.fingerprint, once.died_at, once.times
    FROM (
      -- Two of one fingerprint in one statement would fail as a whole, for ever (SQLSTATE 21000).
      SELECT DISTINCT ON (given.fingerprint) given.*, count(*) OVER (PARTITION BY given.fingerprint) AS times
      FROM unnest(queues, routing_keys, message_ids, types, sources, codes, reasons, group_ids, header_tables, bodies, traces,
        retry_counts, origins, fingerprints, deaths) WITH ORDINALITY
        AS given (queue, routing_key, message_id, type, source, code, reason, group_id, headers, body, traceparent, retries,
          came_from, fingerprint, died_at, place)
      ORDER BY given.fingerprint, given.place
    ) AS once ORDER BY once.place
    ON CONFLICT (fingerprint) WHERE state IN ('waiting', 'sending') DO UPDATE SET times = kept.times + excluded.times
    RETURNING kept.queue, old.dead_letter_id IS NULL AS is_new)
  SELECT jsonb_object_agg(new.queue, new.letters) INTO opened
    FROM (SELECT queue, count(*) AS letters FROM entered WHERE is_new GROUP BY queue) AS new;
  PERFORM count_open_dead_letters(opened);
END $$;

-- Counts by queue, negative for what is settled. After the letters were written, by all that do: so nobody waits for the other.
CREATE OR REPLACE FUNCTION count_open_dead_letters(more jsonb) RETURNS void LANGUAGE sql AS $$
  UPDATE totals SET open_dead_letters = sum_counts(open_dead_letters, more) WHERE more IS NOT NULL
$$;

-- Those that a decision can be made about: `ids`, or all of a `group`, `queue`, `code`, `source`, or all. One that is being sent
-- again can be discarded by its id: a group is of those that wait, and of two who decide about it at once the first one decides.
CREATE OR REPLACE FUNCTION open_dead_letters(selection jsonb, doing text) RETURNS SETOF dead_letters LANGUAGE sql STABLE AS $$
  SELECT * FROM dead_letters WHERE (state = 'waiting' OR (state = 'sending' AND doing = 'discard' AND selection->'ids' IS NOT NULL))
    AND (selection->'ids' IS NULL OR dead_letter_id IN (SELECT value::bigint FROM jsonb_array_elements_text(selection->'ids')))
    AND (selection->>'group' IS NULL OR group_id = selection->>'group')
    AND (selection->>'queue' IS NULL OR queue = selection->>'queue')
    AND (selection->>'code' IS NULL OR code = selection->>'code')
    AND (selection->>'source' IS NULL OR source = selection->>'source')
$$;

-- A step of one action; how many letters it settled. Bounded, so that the fence is held for a short time only. A letter that is
-- discarded while it is being sent may have been sent: both actions say so.
CREATE OR REPLACE FUNCTION settle_dead_letters(given_term bigint, given_action uuid, doing text, given_by text, why text, selection jsonb,
  up_to bigint, letters_max integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  settled integer;
  closed jsonb;
BEGIN
  PERFORM hold_fence(given_term);
  INSERT INTO dead_letter_actions (action_id, kind, by, reason, detail, letters) VALUES (given_action, doing, given_by, why, selection, 0)
    ON CONFLICT (action_id) DO NOTHING;
  WITH chosen AS (
    SELECT dead_letters.dead_letter_id FROM dead_letters
    WHERE dead_letters.dead_letter_id IN (
      SELECT decidable.dead_letter_id FROM open_dead_letters(selection, doing) AS decidable
      WHERE decidable.dead_letter_id <= up_to ORDER BY decidable.dead_letter_id LIMIT letters_max)
      -- Looked at again: another action may have settled it between the two.
      AND (dead_letters.state = 'waiting'
        OR (dead_letters.state = 'sending' AND doing = 'discard' AND selection->'ids' IS NOT NULL))
    FOR UPDATE
  ), changed AS (
    UPDATE dead_letters SET state = CASE doing WHEN 'retry' THEN 'sending' ELSE 'discarded' END,
      retries = dead_letters.retries + CASE doing WHEN 'retry' THEN 1 ELSE 0 END, changed_at = clock_timestamp()
    FROM chosen WHERE dead_letters.dead_letter_id = chosen.dead_letter_id RETURNING dead_letters.dead_letter_id, dead_letters.queue
  ), acted AS (
    INSERT INTO dead_letter_acted SELECT changed.dead_letter_id, given_action FROM changed
  )
  SELECT coalesce(sum(by_queue.letters), 0), jsonb_object_agg(by_queue.queue, -by_queue.letters) FILTER (WHERE doing = 'discard')
    INTO settled, closed FROM (SELECT queue, count(*) AS letters FROM changed GROUP BY queue) AS by_queue;
  UPDATE dead_letter_actions SET letters = letters + settled WHERE action_id = given_action;
  PERFORM count_open_dead_letters(closed);
  RETURN settled;
END $$;

-- False when the letter is settled already.
CREATE OR REPLACE FUNCTION edit_dead_letter(given_term bigint, given_action uuid, given_by text, letter bigint, new_body bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  body_now bytea;
BEGIN
  PERFORM hold_fence(given_term);
  SELECT dead_letters.body INTO body_now FROM dead_letters WHERE dead_letter_id = letter AND state = 'waiting' FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE dead_letters SET body = new_body, body_before = coalesce(body_before, body_now), changed_at = clock_timestamp()
    WHERE dead_letter_id = letter;
  INSERT INTO dead_letter_actions (action_id, kind, by, detail, letters) VALUES (given_action, 'edit', given_by,
    jsonb_build_object('ids', jsonb_build_array(letter), 'before', encode(sha256(body_now), 'hex'), 'after', encode(sha256(new_body), 'hex')), 1);
  INSERT INTO dead_letter_acted VALUES (letter, given_action);
  RETURN true;
END $$;

-- The oldest that are to be sent again, up to a size: at least one.
CREATE OR REPLACE FUNCTION dead_letters_to_send(given_term bigint, letters_max integer, bytes_max bigint)
RETURNS TABLE (dead_letter_id bigint, queue text, routing_key text, message_id text, headers json, body bytea, retries integer)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  RETURN QUERY SELECT letter.dead_letter_id, letter.queue, letter.routing_key, letter.message_id, letter.headers, letter.body, letter.retries
    FROM dead_letters AS letter JOIN (
      SELECT next.dead_letter_id, sum(octet_length(next.body)) OVER (ORDER BY next.dead_letter_id) - octet_length(next.body) AS bytes_before
      FROM (SELECT * FROM dead_letters WHERE dead_letters.state = 'sending' ORDER BY dead_letters.dead_letter_id LIMIT letters_max) AS next
    ) AS sized ON sized.dead_letter_id = letter.dead_letter_id
    WHERE sized.bytes_before < bytes_max ORDER BY letter.dead_letter_id;
END $$;

CREATE OR REPLACE FUNCTION dead_letters_sent(given_term bigint, ids bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  closed jsonb;
BEGIN
  PERFORM hold_fence(given_term);
  WITH sent AS (
    UPDATE dead_letters SET state = 'sent', changed_at = clock_timestamp() WHERE dead_letter_id = ANY (ids) AND state = 'sending'
    RETURNING queue
  )
  SELECT jsonb_object_agg(by_queue.queue, -by_queue.letters) INTO closed
    FROM (SELECT queue, count(*) AS letters FROM sent GROUP BY queue) AS by_queue;
  PERFORM count_open_dead_letters(closed);
END $$;
