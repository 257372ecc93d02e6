-- name: insert_worker
INSERT INTO worker (id, host, owner, started, seen, facts) VALUES (:id, :host, :owner, :now, :now, :facts)
ON CONFLICT (id) DO UPDATE SET seen = :now, ended = NULL, outcome = NULL, command = NULL, facts = :facts;

-- name: see_worker
UPDATE worker SET seen = :now WHERE id = :id RETURNING command;

-- name: worker
SELECT * FROM worker WHERE id = :id;

-- name: open_workers
SELECT worker.*, :now - seen AS silent FROM worker WHERE ended IS NULL ORDER BY started;

-- name: end_worker
UPDATE worker SET ended = :now, outcome = :outcome WHERE id = :id AND ended IS NULL;

-- name: lost_workers
SELECT worker.*, 0.0 AS silent FROM worker WHERE outcome = 'lost' AND seen_by_user = 0 ORDER BY started;

-- name: show_lost_workers
UPDATE worker SET seen_by_user = 1 WHERE outcome = 'lost';

-- name: command_worker
UPDATE worker SET command = :command WHERE id = :id AND ended IS NULL;

-- name: prune_workers
DELETE FROM worker WHERE ended < :now - :seconds;
