-- Who may write: the cluster, its members, and the term that every write holds. PostgreSQL 18 is the minimum (RETURNING old).
-- Forward only, in this file and in all others: a later release first adds, and the one after it takes away. Times are the
-- database's own: no client's clock decides about a lease, a due mail or a crawl. Functions are in nodes/database/functions;
-- here are only those that an index or a trigger needs before.

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

-- Which functions are in force, and of which release: nodes/database/functions.ts.
CREATE TABLE functions_in_force (
  id smallint PRIMARY KEY CHECK (id = 1),
  -- What orders releases: the number of the newest migration, then the version.
  release integer[] NOT NULL,
  sha256 text NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp()
);
