-- Up Migration
-- Who may write: the cluster, its members, and the term that every write holds. PostgreSQL 18 is the minimum (RETURNING old).
-- Forward only, in this file and in all others: a later release first adds, and the one after it takes away. Times are the
-- database's own: no client's clock decides about a lease, a due mail or a crawl.

CREATE TABLE cluster (
  id smallint PRIMARY KEY CHECK (id = 1),
  name text NOT NULL,
  -- Two databases behind one cluster name are told apart by it; vote files and datagrams carry it.
  cluster_id uuid NOT NULL DEFAULT gen_random_uuid()
);

-- The term that may write. Every write holds this row FOR SHARE in the same statement.
CREATE TABLE fence (
  id smallint PRIMARY KEY CHECK (id = 1),
  term bigint NOT NULL,
  -- node id/boot id, so that a claim whose answer was lost can be asked again.
  holder text
);
INSERT INTO fence VALUES (1, 0, NULL);

-- Membership: the generation each node runs in, or last ran in, and its term at that start. See nodes/database/admission.ts.
CREATE TABLE members (
  node_id text PRIMARY KEY,
  generation integer NOT NULL,
  term bigint NOT NULL DEFAULT 0,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The voters of each generation, as its first node told.
CREATE TABLE generations (generation integer PRIMARY KEY, voters text[] NOT NULL);

-- Functions are one round trip each, so that no lock waits for a client.
-- SQLSTATEs of class BT are ours: BT001 stale term, BT002 lease held, BT003 lease lost, BT004 not found.

-- The table lock queues fairly behind the writers of the older term: a row lock alone starves, since share lockers
-- overtake a waiting update. Readers go on.
CREATE FUNCTION claim_fence(wanted bigint, claimer text) RETURNS TABLE (claimed boolean, current_term bigint)
LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE fence IN EXCLUSIVE MODE;
  UPDATE fence SET term = wanted, holder = claimer
    WHERE fence.id = 1 AND (fence.term < wanted OR (fence.term = wanted AND fence.holder = claimer));
  claimed := FOUND;
  SELECT fence.term INTO current_term FROM fence WHERE fence.id = 1;
  RETURN NEXT;
END $$;

-- Keeps the term from being over until this statement's transaction ends.
CREATE FUNCTION hold_fence(wanted bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM fence WHERE fence.id = 1 AND fence.term = wanted FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'term % is over', wanted
      USING ERRCODE = 'BT001', DETAIL = (SELECT fence.term::text FROM fence WHERE fence.id = 1);
  END IF;
END $$;
