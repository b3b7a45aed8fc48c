-- One row for each task. Everything but the key may still be unknown, because the threads that
-- tell of one task are not in step; every update gives the same row in whatever order it comes.
CREATE TABLE task (
    process        INTEGER NOT NULL,
    task           INTEGER NOT NULL,
    kind           INTEGER, -- 0 async, 1 local, 2 block_on, 3 blocking
    loop           INTEGER,
    spawn_location INTEGER,
    parent         INTEGER,
    spawned_at     INTEGER,
    name           INTEGER,
    named_at       INTEGER,
    started_at     INTEGER, -- blocking jobs: when it left the queue
    ended_at       INTEGER,
    outcome        INTEGER, -- 0 unknown, 1 completed, 2 panicked, 3 cancelled
    polls          INTEGER NOT NULL,
    busy_time      INTEGER NOT NULL,
    max_poll_time  INTEGER NOT NULL,
    slow_polls     INTEGER NOT NULL,
    first_poll_at  INTEGER,
    last_poll_at   INTEGER, -- end of its last poll
    wakes          INTEGER NOT NULL,
    self_wakes     INTEGER NOT NULL,
    scheduled_time INTEGER NOT NULL,
    last_waker     INTEGER,
    last_woken_at  INTEGER,
    PRIMARY KEY (process, task)
) WITHOUT ROWID;

-- Both hold all that counting by spawn location looks at.
CREATE INDEX task_by_spawn ON task (process, spawned_at, spawn_location);
CREATE INDEX task_by_end ON task (process, ended_at, spawned_at, spawn_location)
    WHERE ended_at IS NOT NULL;
-- Tasks that end within one batch never enter it.
CREATE INDEX task_alive ON task (process, spawn_location, spawned_at) WHERE ended_at IS NULL;
