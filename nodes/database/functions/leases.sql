-- Named leases, for whatever else one at a time may do.

CREATE OR REPLACE FUNCTION take_lease(given_term bigint, given_name text, given_owner text, lease_ms integer) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
  ends timestamptz := clock_timestamp() + lease_ms * interval '1 ms';
  other leases;
BEGIN
  PERFORM hold_fence(given_term);
  IF lease_ms = 0 THEN
    -- Given back; whoever does not hold it gives nothing back.
    UPDATE leases SET expires_at = ends WHERE leases.name = given_name AND leases.owner = given_owner;
    RETURN ends;
  END IF;
  INSERT INTO leases VALUES (given_name, given_owner, ends)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
    WHERE leases.owner = given_owner OR leases.expires_at <= clock_timestamp();
  IF FOUND THEN RETURN ends; END IF;
  SELECT * INTO other FROM leases WHERE leases.name = given_name;
  RAISE EXCEPTION 'lease % is held by % until %', given_name, other.owner, other.expires_at USING ERRCODE = 'BT002';
END $$;
