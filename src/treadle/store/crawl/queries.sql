-- name: fact
SELECT value FROM fact WHERE name = :name

-- name: set_fact
INSERT INTO fact (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: add_host
INSERT INTO host (origin) VALUES (:origin) RETURNING *

-- name: host_of
SELECT * FROM host WHERE origin = :origin

-- name: pending_hosts
SELECT * FROM host WHERE EXISTS (SELECT 1 FROM page WHERE page.host = host.id AND pending = 1)

-- name: set_robots
UPDATE host SET robots = :robots, robots_time = :time WHERE id = :id

-- name: set_host_pace
UPDATE host SET ready_at = :ready_at, failures = :failures WHERE id = :id

-- name: set_chrome
UPDATE host SET chrome = :chrome WHERE id = :id

-- name: known_pages
SELECT page.id, page.url FROM json_each(:urls) AS asked JOIN page ON page.url = asked.value

-- name: page_by_url
SELECT * FROM page WHERE url = :url

-- name: page
SELECT * FROM page WHERE id = :id

-- name: add_page
INSERT INTO page (url, host, depth, found_on, kind, state, reason, pending)
VALUES (:url, :host, :depth, :found_on, :kind, :state, :reason, :pending)
RETURNING id

-- name: add_links
INSERT OR IGNORE INTO link (page, target) VALUES (:page, :target)

-- name: forget_links
DELETE FROM link WHERE page = :page

-- name: folder_pages
INSERT INTO folder (host, path, pages) VALUES (:host, :path, 1)
ON CONFLICT (host, path) DO UPDATE SET pages = pages + 1
RETURNING pages

-- name: next_pages
SELECT id, url, depth, kind, state, attempts, etag, last_modified, body FROM page
WHERE host = :host AND pending = 1 AND ready_at <= :now AND (fetched > 0 OR kind = 'list' OR :new)
ORDER BY fetched, depth, id LIMIT :count

-- name: next_time
SELECT min(ready_at) AS ready_at FROM page
WHERE host = :host AND pending = 1 AND (fetched > 0 OR kind = 'list' OR :new)

-- name: settle
UPDATE page SET state = :state, reason = :reason, pending = 0, fetched = :fetched, outcome = :outcome, round = :round,
    status = :status, target = :target
WHERE id = :id

-- name: keep_body
UPDATE page SET type = :type, body = :body, size = :size, etag = :etag, last_modified = :last_modified,
    place = :place, unfed = :unfed
WHERE id = :id

-- name: refresh_validators
UPDATE page SET etag = :etag, last_modified = :last_modified, unfed = (state IN ('kept', 'copy') AND fed != place)
WHERE id = :id

-- name: set_kind
UPDATE page SET kind = :kind WHERE id = :id

-- name: set_aside
UPDATE page SET state = :state, reason = :reason, pending = 0 WHERE id = :id

-- name: postpone
UPDATE page SET attempts = :attempts, ready_at = :ready_at, reason = :reason WHERE id = :id

-- name: give_up_host
UPDATE page SET state = CASE WHEN body IS NULL THEN 'failed' ELSE state END, reason = :reason, pending = 0
WHERE host = :host AND pending = 1

-- name: leads_here
SELECT id FROM page WHERE target = :id AND state = 'redirect' LIMIT 1

-- name: settle_copy
UPDATE page SET state = 'copy', target = :target, unfed = 0 WHERE id = :id

-- name: own_copies
UPDATE page SET state = 'kept', target = NULL, unfed = (fed != place)
WHERE state = 'copy' AND target NOT IN (SELECT id FROM page WHERE state = 'kept')

-- name: ask_again
UPDATE page SET pending = 1, attempts = 0, ready_at = 0
WHERE state NOT IN ('left_out', 'gone') AND NOT (state = 'failed' AND reason = 'not_found' AND fetched > :dead_before)
    AND (fetched = 0 OR fetched <= :fresh_after)

-- name: ask_tombstones_again
UPDATE page SET pending = 1, attempts = 0, ready_at = 0 WHERE state = 'gone' AND fetched <= :dead_before

-- name: undecided
SELECT id, url, depth, state, kind FROM page WHERE state = 'left_out' OR (pending = 1 AND kind = 'page')

-- name: let_in
UPDATE page SET state = 'waiting', reason = '', pending = 1, attempts = 0, ready_at = 0 WHERE id = :id

-- name: counts
SELECT state, reason, kind, count(*) AS pages, sum(pending) AS pending, sum(unfed) AS unfed FROM page
GROUP BY state, reason, kind

-- name: outcomes
SELECT outcome, count(*) AS pages FROM page WHERE round = :round AND kind = 'page' AND outcome != '' GROUP BY outcome

-- name: kept_pages
SELECT count(*) AS pages FROM page WHERE body IS NOT NULL AND kind = 'page'

-- name: last_place
SELECT coalesce(max(place), 0) AS place FROM page

-- name: bytes_kept
SELECT coalesce(sum(size), 0) AS bytes FROM page WHERE state IN ('kept', 'copy')

-- name: unfed_pages
SELECT page.id, url, body, type, size, place, host, origin, host.chrome FROM page JOIN host ON host.id = page.host
WHERE unfed = 1 AND state = 'kept' AND place > :after ORDER BY place LIMIT :count

-- name: pending_on_host
SELECT EXISTS (
    SELECT 1 FROM page WHERE host = :host AND pending = 1 AND (fetched > 0 OR kind = 'list' OR :new)
) AS pending

-- name: fed
UPDATE page SET unfed = 0, fed = :place WHERE id = :id AND place = :place

-- name: export
SELECT page.id, page.url, page.state, page.status, page.type, page.body, page.size, page.fetched, page.etag, page.last_modified,
    page.depth, origin.url AS found_on
FROM page LEFT JOIN page AS origin ON origin.id = page.found_on
WHERE page.kind = 'page' AND page.state IN ('kept', 'copy') AND page.id > :after ORDER BY page.id LIMIT :count

-- name: pages_in_state
SELECT page.url, page.state, page.reason, page.pending, page.status, page.depth, page.size, page.fetched, page.attempts,
    origin.url AS found_on
FROM page LEFT JOIN page AS origin ON origin.id = page.found_on
WHERE page.kind = 'page' AND page.state = :state ORDER BY page.fetched DESC, page.id LIMIT :count

-- name: pages_to_ask
SELECT page.url, page.state, page.reason, page.pending, page.status, page.depth, page.size, page.fetched, page.attempts,
    origin.url AS found_on
FROM page LEFT JOIN page AS origin ON origin.id = page.found_on
WHERE page.pending = 1 ORDER BY page.fetched, page.depth, page.id LIMIT :count

-- name: pages_asked
SELECT page.url, page.state, page.reason, page.pending, page.status, page.depth, page.size, page.fetched, page.attempts,
    origin.url AS found_on
FROM page LEFT JOIN page AS origin ON origin.id = page.found_on
WHERE page.fetched > 0 ORDER BY page.fetched DESC, page.id DESC LIMIT :count

-- name: failures
SELECT url, state, reason, status FROM page WHERE state IN ('failed', 'refused', 'gone') ORDER BY id LIMIT :count
