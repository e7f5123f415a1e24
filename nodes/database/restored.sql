-- What a database that was restored from a backup needs before nodes start on it (docs/runbook.md, _Restoring the database_), for
-- nodes/sql.ts. Again does no harm. Refused while anybody else is connected: a node that runs would go on with what is
-- forgotten here.
DO $$
DECLARE
  others text;
  nodes bigint;
BEGIN
  -- As whoever admits a node: nobody is admitted until this is done.
  LOCK TABLE members IN EXCLUSIVE MODE;
  SELECT string_agg(DISTINCT coalesce(nullif(application_name, ''), 'pid ' || pid), ', ') INTO others FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user AND backend_type = 'client backend' AND pid <> pg_backend_pid();
  IF others IS NOT NULL THEN
    RAISE EXCEPTION 'connected to this database: %. Stop all nodes, and whoever else that is, first', others;
  END IF;

  -- Its numbers go on from the backup: a reader who has seen later ones would take new events for those.
  UPDATE feed_head SET feed = gen_random_uuid();
  -- What was handed out since the backup may lie in a queue, or among the dead letters: nobody gets one of those again.
  UPDATE sources SET last_intake = least(last_intake + 100000, 536870911);
  -- Vote files are newer than the backup; from before a change of the members it would refuse every node.
  DELETE FROM members;
  GET DIAGNOSTICS nodes = ROW_COUNT;
  DELETE FROM generations;
  RAISE NOTICE 'the feed has another id, intakes go on beyond those of the backup, and the % nodes that the backup knew are forgotten: each is recorded when it starts', nodes;
END $$;
