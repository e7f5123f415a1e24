-- Dead letters that people can work with: the leader moves them here from the *.dead queues, each stored before it is
-- acknowledged. docs/decisions/0034 says why they do not stay in RabbitMQ.

CREATE TABLE dead_letters (
  dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Where it came from, and the key that leads back there.
  queue text NOT NULL,
  routing_key text NOT NULL,
  message_id text NOT NULL,
  type text NOT NULL,
  source text,
  code text NOT NULL,
  reason text NOT NULL,
  -- Equal for one queue, source, code and kind of reason.
  group_id text NOT NULL,
  -- json, not jsonb: that one refuses texts with a NUL or half a surrogate pair.
  headers json NOT NULL,
  body bytea NOT NULL,
  -- As it died; set once it was edited.
  body_before bytea,
  traceparent text,
  -- How often it had been sent again when it died, and the letter it was then.
  retries integer NOT NULL,
  came_from bigint,
  -- sha256 of what arrived: a letter that is taken twice, since its acknowledgement was lost, is one.
  fingerprint bytea NOT NULL,
  times integer NOT NULL,
  -- waiting for a decision; to be sent again by the leader; sent again, confirmed; discarded.
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'discarded')),
  died_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Among the open ones alone: what was settled and dies again in the same words is a new letter.
CREATE UNIQUE INDEX dead_letters_open ON dead_letters (fingerprint) WHERE state IN ('waiting', 'sending');
CREATE INDEX dead_letters_waiting ON dead_letters (group_id, dead_letter_id) WHERE state = 'waiting';
CREATE INDEX dead_letters_sending ON dead_letters (dead_letter_id) WHERE state = 'sending';
CREATE INDEX dead_letters_settled ON dead_letters (changed_at) WHERE state IN ('sent', 'discarded');
CREATE INDEX dead_letters_message ON dead_letters (message_id COLLATE "C");

-- Who did what, when and to which letters.
CREATE TABLE dead_letter_actions (
  action_id uuid PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind text NOT NULL CHECK (kind IN ('retry', 'edit', 'discard')),
  -- As they name themselves: a token says a role, not a person.
  by text NOT NULL,
  reason text,
  -- What was chosen, as it was asked for; of an edit the sha256 of both bodies.
  detail jsonb NOT NULL,
  letters integer NOT NULL
);
CREATE INDEX dead_letter_actions_at ON dead_letter_actions (at);
CREATE TABLE dead_letter_acted (
  dead_letter_id bigint NOT NULL,
  action_id uuid NOT NULL REFERENCES dead_letter_actions ON DELETE CASCADE,
  PRIMARY KEY (dead_letter_id, action_id)
);
CREATE INDEX dead_letter_acted_action ON dead_letter_acted (action_id);
