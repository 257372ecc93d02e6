-- Every statement has a name. `:now` is the clock of the database. A name with [sqlite] or [postgres] is for that one.

-- name: job
SELECT * FROM job WHERE id = :id;

-- name: job_by_key
SELECT * FROM job WHERE dedup_key = :dedup_key;

-- name: reserve_ids [sqlite]
SELECT coalesce(max(seq), 0) AS last, :now AS clock, :count AS ids FROM sqlite_sequence WHERE name = 'job';

-- name: reserve_ids [postgres]
SELECT setval(name, nextval(name) + :count - 1) - :count AS last, :now AS clock
FROM (SELECT pg_get_serial_sequence('job', 'id') AS name) AS sequence;

-- name: insert_job
INSERT INTO job (id, queue, lane, kind, payload, state, priority, pos, not_before, waits, max_attempts, created, run,
                 dedup_key)
VALUES (:id, :queue, :lane, :kind, :payload, :state, :priority, :pos, :not_before, :waits, :max_attempts, :created, :run,
        :dedup_key);

-- name: place
SELECT (SELECT count(*) FROM job
        WHERE queue = :queue AND lane = :lane AND state = 'ready' AND priority > :priority)
     + (SELECT count(*) FROM job
        WHERE queue = :queue AND lane = :lane AND state = 'ready' AND priority = :priority AND pos < :pos)
     + (SELECT count(*) FROM job
        WHERE queue = :queue AND lane = :lane AND state = 'ready' AND priority = :priority AND pos = :pos AND id < :id)
       AS ahead;

-- name: ready_jobs
SELECT * FROM job WHERE state = 'ready' AND queue = :queue AND lane = :lane
ORDER BY priority DESC, pos, id LIMIT :count;

-- name: blocked_jobs
SELECT * FROM job WHERE state = 'blocked' AND queue = :queue ORDER BY id LIMIT :count;

-- name: active_jobs
SELECT * FROM job WHERE state IN ('running', 'stopping') ORDER BY started, id;

-- name: job_of_run
SELECT * FROM job WHERE run = :run ORDER BY id LIMIT 1;

-- name: past_jobs
SELECT * FROM job WHERE state IN ('done', 'failed', 'cancelled') ORDER BY ended DESC, id DESC LIMIT :count;

-- name: past_jobs_of_queue
SELECT * FROM job WHERE state IN ('done', 'failed', 'cancelled') AND queue = :queue
ORDER BY ended DESC, id DESC LIMIT :count;

-- name: promote_due
-- A job that failed waits for an hour and a half at most: one that would wait for longer saw the clock set back.
-- One that is held (until the last second of the year 9999) waits until it is released.
UPDATE job SET state = 'ready'
WHERE state = 'blocked' AND waits = 0
  AND (not_before <= :now OR (attempts > 0 AND not_before > :now + 5400 AND not_before < 253402300799))
RETURNING id, queue;

-- name: next_due
-- Nothing comes of a job that is held (until the last second of the year 9999): no worker stays for it.
SELECT min(not_before) AS time, :now AS clock FROM job
WHERE state = 'blocked' AND waits = 0 AND not_before < 253402300799;

-- name: busy_on_host
SELECT count(*) AS jobs FROM job WHERE state IN ('running', 'stopping') AND lane = :lane AND host = :host;

-- name: next_queue [sqlite]
WITH busy AS MATERIALIZED (
    SELECT queue, count(*) AS jobs FROM job WHERE state IN ('running', 'stopping') AND lane = :lane GROUP BY queue
), heads AS MATERIALIZED ( -- both read the index alone: rows of jobs are far apart
    SELECT queue.id AS queue, queue.served,
           (SELECT priority FROM job WHERE job.queue = queue.id AND lane = :lane AND state = 'ready'
            ORDER BY priority DESC, pos, id LIMIT 1) AS priority,
           (SELECT id FROM job WHERE job.queue = queue.id AND lane = :lane AND state = 'ready'
            ORDER BY priority DESC, pos, id LIMIT 1) AS head
    FROM queue LEFT JOIN busy ON busy.queue = queue.id
    WHERE queue.paused IS NULL
      AND coalesce(busy.jobs, 0) < CASE :lane WHEN 'heavy' THEN 1 ELSE queue.concurrency END
)
SELECT queue FROM heads WHERE head IS NOT NULL ORDER BY priority DESC, served, head LIMIT 1;

-- name: next_queue [postgres]
WITH busy AS MATERIALIZED (
    SELECT queue, count(*) AS jobs FROM job WHERE state IN ('running', 'stopping') AND lane = :lane GROUP BY queue
)
SELECT queue.id AS queue
FROM queue LEFT JOIN busy ON busy.queue = queue.id
CROSS JOIN LATERAL (
    SELECT id, priority FROM job WHERE job.queue = queue.id AND lane = :lane AND state = 'ready'
    ORDER BY priority DESC, pos, id LIMIT 1
) AS head
WHERE queue.paused IS NULL AND coalesce(busy.jobs, 0) < CASE :lane WHEN 'heavy' THEN 1 ELSE queue.concurrency END
ORDER BY head.priority DESC, queue.served, head.id LIMIT 1;

-- name: start_head
UPDATE job SET state = 'running', fence = fence + 1, host = :host, owner = :owner, lease = :now + :lease_seconds,
               started = :now, ended = NULL, error = NULL, result = NULL, cancel = NULL
WHERE id = (SELECT id FROM job WHERE queue = :queue AND lane = :lane AND state = 'ready'
            ORDER BY priority DESC, pos, id LIMIT 1)
RETURNING *;

-- name: renew_leases
UPDATE job SET lease = :now + :lease_seconds
WHERE state IN ('running', 'stopping') AND host = :host AND owner = :owner;

-- name: held
SELECT * FROM job WHERE id = :id AND fence = :fence AND owner = :owner AND state IN ('running', 'stopping');

-- name: held_jobs
SELECT job.*, lease < :now AS expired FROM job WHERE state IN ('running', 'stopping');

-- name: anything_to_do
SELECT 1 AS found FROM queue WHERE EXISTS (
    SELECT 1 FROM job WHERE job.queue = queue.id AND state IN ('running', 'stopping')
) OR (paused IS NULL AND EXISTS (
    SELECT 1 FROM job WHERE job.queue = queue.id AND lane = 'heavy' AND state = 'ready'
    UNION ALL SELECT 1 FROM job WHERE job.queue = queue.id AND lane = 'light' AND state = 'ready'
)) LIMIT 1;

-- name: jobs_of_worker
SELECT * FROM job WHERE state IN ('running', 'stopping') AND host = :host AND owner = :owner;

-- name: set_run
UPDATE job SET run = :run WHERE id = :id RETURNING *;

-- name: forgive_recoveries
UPDATE job SET recoveries = 0 WHERE id = :id;

-- name: mark_stopping
UPDATE job SET state = 'stopping' WHERE id = :id RETURNING *;

-- name: end_job
UPDATE job SET state = :state, ended = :now, result = :result, error = :error, attempts = :attempts,
               host = NULL, owner = NULL, lease = NULL, fence = fence + 1
WHERE id = :id RETURNING *;

-- name: requeue_job
UPDATE job SET state = CASE WHEN :wait > 0 THEN 'blocked' ELSE 'ready' END, not_before = :now + :wait,
               error = :error, attempts = :attempts, recoveries = :recoveries, cancel = NULL, host = NULL, owner = NULL, lease = NULL,
               ended = NULL, fence = fence + 1
WHERE id = :id RETURNING *;

-- name: request_cancel
UPDATE job SET cancel = :cancel WHERE id = :id RETURNING *;

-- name: pause_running
UPDATE job SET cancel = 'pause'
WHERE queue = :queue AND state IN ('running', 'stopping') AND cancel IS NULL RETURNING *;

-- name: place_job
UPDATE job SET priority = :priority, pos = :pos WHERE id = :id RETURNING *;

-- name: edit_job
UPDATE job SET payload = :payload, not_before = :not_before, max_attempts = :max_attempts,
               state = CASE WHEN waits > 0 OR :not_before > :now THEN 'blocked' ELSE 'ready' END
WHERE id = :id RETURNING *;

-- name: retry_job
UPDATE job SET state = CASE WHEN waits > 0 THEN 'blocked' ELSE 'ready' END, pos = :pos, not_before = 0, attempts = 0,
               recoveries = 0, cancel = NULL, started = NULL, ended = NULL, result = NULL, error = NULL
WHERE id = :id RETURNING *;

-- name: waiting_jobs
SELECT * FROM job WHERE state = 'ready' AND queue = :queue AND lane IN ('heavy', 'light')
UNION ALL SELECT * FROM job WHERE state = 'blocked' AND queue = :queue
ORDER BY priority DESC, pos, id;

-- name: pos_before
SELECT max(pos) AS pos FROM job
WHERE queue = :queue AND lane = :lane AND state = 'ready' AND priority = :priority AND pos < :pos AND id <> :id;

-- name: pos_after
SELECT min(pos) AS pos FROM job
WHERE queue = :queue AND lane = :lane AND state = 'ready' AND priority = :priority AND pos > :pos AND id <> :id;

-- name: renumber
UPDATE job SET pos = ranked.place FROM (
    SELECT id, row_number() OVER (ORDER BY priority DESC, pos, id) AS place FROM (
        SELECT id, priority, pos FROM job WHERE state = 'ready' AND queue = :queue AND lane IN ('heavy', 'light')
        UNION ALL SELECT id, priority, pos FROM job WHERE state = 'blocked' AND queue = :queue
    ) AS waiting
) AS ranked WHERE job.id = ranked.id RETURNING job.id, job.pos;

-- name: prune_jobs
DELETE FROM job WHERE state IN ('done', 'failed', 'cancelled') AND ended < :now - :seconds
  AND NOT EXISTS (SELECT 1 FROM dependency JOIN job AS child ON child.id = dependency.job
                  WHERE dependency.on_job = job.id AND child.state = 'blocked')
  AND (CAST(:queue AS TEXT) IS NULL OR queue = :queue)
RETURNING id;

-- name: insert_dependency
INSERT INTO dependency (job, on_job, if_failed, satisfied) VALUES (:job, :on_job, :if_failed, :satisfied);

-- name: dependencies
SELECT on_job, if_failed, satisfied FROM dependency WHERE job = :job ORDER BY on_job;

-- name: dependants
SELECT job.*, dependency.if_failed FROM dependency JOIN job ON job.id = dependency.job
WHERE dependency.on_job = :on_job AND dependency.satisfied = 0 AND job.state = 'blocked';

-- name: satisfy
UPDATE dependency SET satisfied = 1 WHERE job = :job AND on_job = :on_job;

-- name: count_down
UPDATE job SET waits = waits - 1,
               state = CASE WHEN waits = 1 AND not_before <= :now THEN 'ready' ELSE state END
WHERE id = :id RETURNING state;
