-- How messages came to their rows, for `baton trace`.

CREATE OR REPLACE FUNCTION keep_deliveries(given_term bigint, given_node text, traces text[], message_ids text[], urls text[], fetched timestamptz[],
  published timestamptz[], attempts integer[], received timestamptz[], posted timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM hold_fence(given_term);
  INSERT INTO deliveries (traceparent, message_id, url, fetched_at, published_at, attempt, received_at, posted_at, node, term)
    SELECT given.*, given_node, given_term FROM unnest(traces, message_ids, urls, fetched, published, attempts, received, posted) AS given;
END $$;
