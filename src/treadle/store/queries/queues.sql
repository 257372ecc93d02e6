-- name: queue
SELECT * FROM queue WHERE id = :id;

-- name: queues
SELECT * FROM queue ORDER BY id;

-- name: extend_queue
INSERT INTO queue (id, owner_kind, owner_id, tail) VALUES (:id, :owner_kind, :owner_id, :count)
ON CONFLICT (id) DO UPDATE SET tail = queue.tail + :count
RETURNING tail;

-- name: serve_queue
UPDATE queue SET served = :now WHERE id = :id;

-- name: pause_queue
UPDATE queue SET paused = :paused WHERE id = :id RETURNING *;

-- name: limit_queue
UPDATE queue SET concurrency = :concurrency WHERE id = :id RETURNING *;

-- name: renumbered_tail
UPDATE queue SET tail = :tail WHERE id = :id;
