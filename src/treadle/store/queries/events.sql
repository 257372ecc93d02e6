-- name: insert_event
INSERT INTO event (time, job, queue, type, data) VALUES (:now, :job, :queue, :type, :data);

-- name: events_after
SELECT * FROM event WHERE seq > :seq ORDER BY seq LIMIT :count;

-- name: events_of_job
SELECT * FROM event WHERE job = :job AND seq > :seq ORDER BY seq LIMIT :count;

-- name: last_event
SELECT coalesce(max(seq), 0) AS seq FROM event;

-- name: prune_events
DELETE FROM event WHERE time < :now - :seconds;
