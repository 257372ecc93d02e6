-- The frontier of one crawl: which pages are known, what came of each, what is still to be asked for.
-- Times are seconds since 1970.
CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL  -- JSON
) WITHOUT ROWID;

CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL UNIQUE,             -- SCHEME://NAME[:PORT]
    robots TEXT,                             -- what applies to us, as JSON; NULL = never asked for
    robots_time REAL NOT NULL DEFAULT 0,
    ready_at REAL NOT NULL DEFAULT 0,        -- not to be asked before
    failures INTEGER NOT NULL DEFAULT 0,     -- slow down by this many steps
    chrome TEXT                              -- lines that every page repeats, as JSON; NULL = not known yet
);

CREATE TABLE page (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    host INTEGER NOT NULL REFERENCES host (id),
    depth INTEGER NOT NULL,                  -- links from the nearest address that was given
    found_on INTEGER,                        -- the page that first named it
    kind TEXT NOT NULL DEFAULT 'page',       -- page, list (sitemap or feed)
    state TEXT NOT NULL DEFAULT 'waiting',   -- waiting kept copy redirect list failed robots refused gone left_out
    reason TEXT NOT NULL DEFAULT '',
    pending INTEGER NOT NULL DEFAULT 1,      -- 1 = to be asked for in this round
    attempts INTEGER NOT NULL DEFAULT 0,     -- in this round
    ready_at REAL NOT NULL DEFAULT 0,
    fetched REAL NOT NULL DEFAULT 0,         -- when it was last answered; 0 = never
    outcome TEXT NOT NULL DEFAULT '',        -- of the last round that asked: new, unchanged, changed
    round INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    type TEXT NOT NULL DEFAULT '',
    body TEXT,                               -- id of the object that holds its bytes
    size INTEGER NOT NULL DEFAULT 0,
    etag TEXT NOT NULL DEFAULT '',
    last_modified TEXT NOT NULL DEFAULT '',
    target INTEGER,                          -- where it redirects to, or the page that it is a copy of
    place INTEGER NOT NULL DEFAULT 0,        -- number of its present body, in order of arrival
    unfed INTEGER NOT NULL DEFAULT 0,        -- 1 = its present body has not been given to the data yet
    fed INTEGER NOT NULL DEFAULT 0           -- number of the body that was last given to the data
);
CREATE INDEX page_next ON page (host, fetched, depth, id) WHERE pending = 1;
CREATE INDEX page_unfed ON page (place) WHERE unfed = 1;
CREATE INDEX page_target ON page (target) WHERE target IS NOT NULL;
CREATE INDEX page_state ON page (state, reason);

CREATE TABLE link (
    page INTEGER NOT NULL REFERENCES page (id),
    target INTEGER NOT NULL REFERENCES page (id),
    PRIMARY KEY (page, target)
) WITHOUT ROWID;

CREATE TABLE folder (
    host INTEGER NOT NULL REFERENCES host (id),
    path TEXT NOT NULL,
    pages INTEGER NOT NULL,
    PRIMARY KEY (host, path)
) WITHOUT ROWID;
