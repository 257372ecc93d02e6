-- name: insert_schedule
INSERT INTO schedule (name, cron, queue, job, created, next_fire) VALUES (:name, :cron, :queue, :job, :now, :next_fire)
RETURNING *;

-- name: schedules
SELECT * FROM schedule ORDER BY name;

-- name: schedule
SELECT * FROM schedule WHERE name = :name;

-- name: due_schedules
SELECT * FROM schedule WHERE next_fire <= :time ORDER BY next_fire, id;

-- name: next_fire
SELECT min(next_fire) AS time FROM schedule;

-- name: fired
UPDATE schedule SET last_fire = :last_fire, next_fire = :next_fire WHERE id = :id RETURNING *;

-- name: delete_schedule
DELETE FROM schedule WHERE name = :name RETURNING id;
