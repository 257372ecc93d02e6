-- After the journal was replayed: what its lines leave to be worked out.

-- name: missing_queues
SELECT DISTINCT queue FROM job WHERE NOT EXISTS (SELECT 1 FROM queue WHERE queue.id = job.queue);

-- name: repair_tails
UPDATE queue SET tail = max(tail, coalesce((SELECT max(pos) FROM job WHERE job.queue = queue.id), 0));

-- name: repair_dependencies
UPDATE dependency SET satisfied = 1 WHERE satisfied = 0 AND NOT EXISTS (
    SELECT 1 FROM job WHERE job.id = dependency.on_job AND state <> 'done'
      AND NOT (if_failed = 'run' AND state IN ('failed', 'cancelled'))
);

-- name: repair_waits
UPDATE job SET waits = (SELECT count(*) FROM dependency WHERE dependency.job = job.id AND satisfied = 0)
WHERE state IN ('blocked', 'ready');

-- name: repair_states
UPDATE job SET state = CASE WHEN waits > 0 OR not_before > :now THEN 'blocked' ELSE 'ready' END
WHERE state IN ('blocked', 'ready');

-- name: jump_events
INSERT INTO event (seq, time, type, data) SELECT coalesce(max(seq), 0) + :spare, :now, 'rebuilt', :data FROM event;
