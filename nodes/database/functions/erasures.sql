-- Erasing a person.

-- Everything that names the address, in whatever case; that it was erased is not kept either. A mail that is being sent at
-- this moment still goes out.
CREATE OR REPLACE FUNCTION erase_address(given_term bigint, address text) RETURNS TABLE (watches bigint, mails bigint, suppressions bigint)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  UPDATE mail_cursor SET told_to = NULL WHERE mail_cursor.told_to = lower(address);
  DELETE FROM notices WHERE lower(notices.recipient) = lower(address);
  WITH gone AS (DELETE FROM watches AS w WHERE lower(w.email) = lower(address) RETURNING 1) SELECT count(*) INTO watches FROM gone;
  WITH gone AS (DELETE FROM mails AS m WHERE lower(m.recipient) = lower(address) RETURNING 1) SELECT count(*) INTO mails FROM gone;
  WITH gone AS (DELETE FROM suppressions AS s WHERE s.recipient = lower(address) RETURNING 1) SELECT count(*) INTO suppressions FROM gone;
  RETURN NEXT;
END $$;
