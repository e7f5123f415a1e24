-- The outbox: which notices become a mail and when, then who sends it, how often it is tried, and when it is given up.

-- Each row is one mail to be made: the oldest of its notices has waited for others of its kind (`gather_ms`), and the
-- last mail of that kind to that address is long enough ago (`quiet_ms`). A step into notices_waiting for each address, however
-- many notices of it wait.
CREATE OR REPLACE FUNCTION due_digests(given_term bigint, kinds text[], gather_ms integer[], quiet_ms integer[], mails_max integer)
RETURNS TABLE (kind text, addressee text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  RETURN QUERY
    WITH RECURSIVE waiting AS (
      (SELECT notices.kind, lower(notices.recipient) AS addressee, notices.made_at AS since FROM notices
        WHERE notices.mail_id IS NULL ORDER BY notices.kind, lower(notices.recipient), notices.notice_id LIMIT 1)
      UNION ALL
      SELECT next.* FROM waiting CROSS JOIN LATERAL (
        SELECT notices.kind, lower(notices.recipient), notices.made_at FROM notices
        WHERE notices.mail_id IS NULL AND (notices.kind, lower(notices.recipient)) > (waiting.kind, waiting.addressee)
        ORDER BY notices.kind, lower(notices.recipient), notices.notice_id LIMIT 1) AS next
    )
    SELECT waiting.kind, waiting.addressee
    FROM waiting JOIN unnest(kinds, gather_ms, quiet_ms) AS rule (kind, gather, quiet) ON rule.kind = waiting.kind
    WHERE waiting.since <= clock_timestamp() - rule.gather * interval '1 ms' AND NOT EXISTS (
      SELECT FROM mails WHERE mails.kind = waiting.kind AND lower(mails.recipient) = waiting.addressee
        AND mails.made_at > clock_timestamp() - rule.quiet * interval '1 ms')
    ORDER BY waiting.since LIMIT mails_max;
END $$;

-- The mail tells its notices; without a key there is none, since the address gets no mail. Nothing happens when one of the
-- notices is told already, or erased.
CREATE OR REPLACE FUNCTION queue_digest(given_term bigint, told bigint[], mail_key text, mail_kind text, mail_sender text, mail_recipient text,
  mail_message_id text, content bytea, trace text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  waiting integer;
  made uuid;
BEGIN
  PERFORM hold_fence(given_term);
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

-- A mail is tried for a day after its first attempt, but not once it was three times in doubt: each of these may be a copy at its
-- recipient, and one more is worse than none.
CREATE OR REPLACE FUNCTION is_given_up(first_claimed_at timestamptz, unknowns integer, next_try timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT unknowns >= 3 OR next_try > first_claimed_at + interval '24 hours'
$$;

-- Claims that ended without a report become `unknown` and are due again; then what is due and not in RabbitMQ.
CREATE OR REPLACE FUNCTION due_mails(given_term bigint, mails_max integer) RETURNS TABLE (mail_id uuid, attempt integer, traceparent text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  UPDATE mails SET
    state = CASE WHEN is_given_up(mails.first_claimed_at, mails.unknowns + 1, clock_timestamp()) THEN 'failed' ELSE 'unknown' END,
    unknowns = mails.unknowns + 1, attempt = mails.attempt + 1, owner = NULL, published_until = NULL, publications = 0,
    due_at = clock_timestamp(), detail = format('its claim ended without a report; %s of its attempts may have arrived', mails.unknowns + 1), changed_at = clock_timestamp()
    WHERE mails.state = 'claimed' AND mails.lease_until < clock_timestamp();
  RETURN QUERY SELECT mails.mail_id, mails.attempt, mails.traceparent FROM mails
    WHERE mails.state IN ('queued', 'unknown') AND mails.due_at <= clock_timestamp()
      AND (mails.published_until IS NULL OR mails.published_until < clock_timestamp())
    ORDER BY mails.due_at LIMIT mails_max;
END $$;

CREATE OR REPLACE FUNCTION mail_published(given_term bigint, mail uuid, published_attempt integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  -- Messages of a mail that nobody takes pile up in the queue, so each repetition waits longer, up to two hours.
  UPDATE mails SET published_until = clock_timestamp() + interval '120 s' * power(2, least(publications, 6)), publications = publications + 1
    WHERE mails.mail_id = mail AND mails.attempt = published_attempt AND mails.state IN ('queued', 'unknown');
END $$;

-- No row when there is nothing to send: `skip` says why.
CREATE OR REPLACE FUNCTION claim_mail(given_term bigint, mail uuid, claimed_attempt integer, given_owner text, lease_ms integer)
RETURNS TABLE (skip text, sender text, recipient text, content bytea, message_id text) LANGUAGE plpgsql AS $$
DECLARE
  found_mail mails;
BEGIN
  PERFORM hold_fence(given_term);
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
  UPDATE mails SET state = 'claimed', owner = given_owner, lease_until = clock_timestamp() + lease_ms * interval '1 ms',
    first_claimed_at = coalesce(mails.first_claimed_at, clock_timestamp()), changed_at = clock_timestamp()
    WHERE mails.mail_id = mail;
  sender := found_mail.sender;
  recipient := found_mail.recipient;
  content := found_mail.bytes;
  message_id := found_mail.message_id;
  RETURN NEXT;
END $$;

-- Back-off with jitter. A late report of an earlier attempt that says `sent` counts:
-- it was sent.
CREATE OR REPLACE FUNCTION report_mail(given_term bigint, mail uuid, reported_attempt integer, given_owner text, outcome text, what text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  found_mail mails;
  wait interval;
  doubts integer;
  after text;
BEGIN
  PERFORM hold_fence(given_term);
  SELECT mails.* INTO found_mail FROM mails WHERE mails.mail_id = mail FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'there is no mail %', mail USING ERRCODE = 'BT004'; END IF;
  IF outcome = 'sent' AND found_mail.state NOT IN ('sent', 'failed', 'suppressed') THEN
    UPDATE mails SET state = 'sent', detail = what, owner = NULL, changed_at = clock_timestamp() WHERE mails.mail_id = mail;
    UPDATE totals SET mails_sent = mails_sent + 1;
    RETURN 'sent';
  END IF;
  IF found_mail.state <> 'claimed' OR found_mail.attempt <> reported_attempt OR found_mail.owner IS DISTINCT FROM given_owner THEN
    RETURN found_mail.state;
  END IF;
  IF outcome = 'rejected' THEN
    INSERT INTO suppressions (recipient, detail) VALUES (lower(found_mail.recipient), what) ON CONFLICT DO NOTHING;
    UPDATE mails SET state = 'suppressed', detail = what, changed_at = clock_timestamp()
      WHERE lower(mails.recipient) = lower(found_mail.recipient) AND mails.state IN ('queued', 'unknown');
  END IF;
  wait := least(interval '1 hour', interval '5 s' * power(2, least(found_mail.attempt - 1, 20))) * (0.5 + random() / 2);
  doubts := found_mail.unknowns + CASE outcome WHEN 'unknown' THEN 1 ELSE 0 END;
  IF outcome = 'rejected' OR is_given_up(found_mail.first_claimed_at, doubts, clock_timestamp() + wait) THEN
    after := 'failed';
    UPDATE mails SET state = after, owner = NULL, changed_at = clock_timestamp(), unknowns = doubts,
      detail = concat(what, CASE outcome WHEN 'unknown' THEN format('; %s of its attempts may have arrived', doubts) END)
      WHERE mails.mail_id = mail;
  ELSE
    after := CASE outcome WHEN 'unknown' THEN 'unknown' ELSE 'queued' END;
    UPDATE mails SET state = after, attempt = found_mail.attempt + 1,
      unknowns = doubts, due_at = clock_timestamp() + wait, published_until = NULL, publications = 0, owner = NULL, detail = what,
      changed_at = clock_timestamp() WHERE mails.mail_id = mail;
  END IF;
  RETURN after;
END $$;
