-- The ledger: queues, jobs, what they wait for, what happened, who works, what is scheduled.
-- {identity} stands for a counted primary key, which the two databases write differently.

CREATE TABLE queue (
    id TEXT PRIMARY KEY,                             -- OWNER_KIND:OWNER_ID, such as model:m-01...
    owner_kind TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    concurrency INTEGER NOT NULL DEFAULT 4,          -- how many jobs of its light lane may run at a time
    paused TEXT CHECK (paused IN ('after', 'now')),  -- NULL: open; `now` also stops what is running
    tail DOUBLE PRECISION NOT NULL DEFAULT 0,        -- pos of the job that was submitted last
    served DOUBLE PRECISION NOT NULL DEFAULT 0       -- when a job of it was last claimed: queues take turns
);

CREATE TABLE job (
    id {identity},
    queue TEXT NOT NULL,                             -- queues are never deleted
    lane TEXT NOT NULL CHECK (lane IN ('heavy', 'light')),
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('blocked', 'ready', 'running', 'stopping', 'done', 'failed', 'cancelled')),
    priority INTEGER NOT NULL DEFAULT 0,
    pos DOUBLE PRECISION NOT NULL,
    not_before DOUBLE PRECISION NOT NULL DEFAULT 0,
    waits INTEGER NOT NULL DEFAULT 0,                -- how many jobs it still waits for
    attempts INTEGER NOT NULL DEFAULT 0,             -- ends by a failure of its own
    max_attempts INTEGER NOT NULL DEFAULT 1,
    recoveries INTEGER NOT NULL DEFAULT 0,           -- ends because its worker or machine died
    cancel TEXT CHECK (cancel IN ('stop', 'discard', 'pause')),
    host TEXT,
    owner TEXT,
    fence BIGINT NOT NULL DEFAULT 0,
    lease DOUBLE PRECISION,
    created DOUBLE PRECISION NOT NULL,
    started DOUBLE PRECISION,
    ended DOUBLE PRECISION,
    result TEXT,
    error TEXT,
    run TEXT,
    dedup_key TEXT
);

-- The database itself enforces one writer of weights per queue, a stopping one included.
CREATE UNIQUE INDEX one_writer ON job (queue) WHERE state IN ('running', 'stopping') AND lane = 'heavy';
CREATE UNIQUE INDEX dedup ON job (dedup_key) WHERE dedup_key IS NOT NULL;
-- `state` stands in it so that SQLite need not look at the rows themselves.
CREATE INDEX head ON job (queue, lane, priority DESC, pos, id, state) WHERE state = 'ready';
CREATE INDEX due ON job (not_before) WHERE state = 'blocked' AND waits = 0;
CREATE INDEX blocked ON job (queue, id) WHERE state = 'blocked';
CREATE INDEX active ON job (queue, lane) WHERE state IN ('running', 'stopping');
CREATE INDEX past ON job (ended) WHERE state IN ('done', 'failed', 'cancelled');
CREATE INDEX past_of_queue ON job (queue, ended) WHERE state IN ('done', 'failed', 'cancelled');

CREATE TABLE dependency (
    job BIGINT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    on_job BIGINT NOT NULL,
    if_failed TEXT NOT NULL CHECK (if_failed IN ('block', 'cancel', 'run')),
    satisfied INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, on_job)
);
CREATE INDEX dependants ON dependency (on_job);

CREATE TABLE event (
    seq {identity},
    time DOUBLE PRECISION NOT NULL,
    job BIGINT,
    queue TEXT,
    type TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX event_job ON event (job, seq);

CREATE TABLE worker (
    id TEXT PRIMARY KEY,                             -- HOST and process: one row for each time a worker ran
    host TEXT NOT NULL,
    owner TEXT NOT NULL,
    started DOUBLE PRECISION NOT NULL,
    seen DOUBLE PRECISION NOT NULL,
    ended DOUBLE PRECISION,
    outcome TEXT CHECK (outcome IN ('stopped', 'lost')),
    seen_by_user INTEGER NOT NULL DEFAULT 0,         -- whether an unclean end was shown
    command TEXT CHECK (command IN ('drain', 'stop')),
    facts TEXT NOT NULL
);
CREATE INDEX worker_ended ON worker (ended);

CREATE TABLE schedule (
    id {identity},
    name TEXT NOT NULL UNIQUE,
    cron TEXT NOT NULL,
    queue TEXT NOT NULL,
    job TEXT NOT NULL,                               -- what is submitted, as JSON
    created DOUBLE PRECISION NOT NULL,
    next_fire DOUBLE PRECISION NOT NULL,
    last_fire DOUBLE PRECISION
);
CREATE INDEX schedule_due ON schedule (next_fire);
