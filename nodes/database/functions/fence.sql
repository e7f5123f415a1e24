-- The term that may write: claimed by a leader, held by every write. Functions are one round trip each, so that no lock waits
-- for a client. SQLSTATEs of class BT are ours: BT001 stale term, BT002 lease held, BT003 lease lost, BT004 not found.

-- The table lock queues fairly behind the writers of the older term: a row lock alone starves, since share lockers
-- overtake a waiting update. Readers go on.
CREATE OR REPLACE FUNCTION claim_fence(given_term bigint, claimer text, why text) RETURNS TABLE (claimed boolean, current_term bigint)
LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE fence IN EXCLUSIVE MODE;
  UPDATE fence SET term = given_term, holder = claimer
    WHERE fence.id = 1 AND (fence.term < given_term OR (fence.term = given_term AND fence.holder = claimer));
  claimed := FOUND;
  -- A claim that is asked again is the same leadership.
  IF claimed THEN INSERT INTO leaderships (term, holder, reason) VALUES (given_term, claimer, why) ON CONFLICT DO NOTHING; END IF;
  SELECT fence.term INTO current_term FROM fence WHERE fence.id = 1;
  RETURN NEXT;
END $$;

-- Keeps the term from being over until this statement's transaction ends.
CREATE OR REPLACE FUNCTION hold_fence(given_term bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM fence WHERE fence.id = 1 AND fence.term = given_term FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'term % is over', given_term
      USING ERRCODE = 'BT001', DETAIL = (SELECT fence.term::text FROM fence WHERE fence.id = 1);
  END IF;
END $$;
