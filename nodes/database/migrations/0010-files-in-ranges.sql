-- Up Migration
-- A file of millions of rows is gone through in ranges, of its places and of the keys of its source, and each range by an index
-- whatever the planner thinks of an upload that it has no statistics of: no index begins with the upload, since it would take
-- that one for a single row, and read the whole upload for each range.

ALTER TABLE staged_rows DROP CONSTRAINT staged_rows_pkey, ADD PRIMARY KEY (place, upload);
DROP INDEX staged_rows_keys;
CREATE INDEX staged_rows_keys ON staged_rows (source, sku, upload);

-- The last of the next `range` items of a source; NULL when there are not so many. Never by sorting what is left of it.
CREATE FUNCTION end_of_range(given_source text, after text, range integer) RETURNS text
LANGUAGE sql STABLE SET enable_sort = off AS $$
  SELECT items.sku FROM items WHERE items.source = given_source AND items.sku > after ORDER BY items.sku OFFSET range - 1 LIMIT 1
$$;
