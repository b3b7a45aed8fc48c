-- Polls worth a row of their own, and the stacks taken in them.
CREATE TABLE slow_poll (
    process  INTEGER NOT NULL,
    loop     INTEGER NOT NULL,
    worker   INTEGER NOT NULL,
    start_at INTEGER NOT NULL,
    length   INTEGER,          -- NULL while its end has not been seen
    last_at  INTEGER NOT NULL, -- its end; until that is seen, its latest sample
    is_slow  INTEGER NOT NULL, -- 0: near the threshold, or too long for tiles, but not slow
    task     INTEGER NOT NULL,
    PRIMARY KEY (process, loop, worker, start_at)
) WITHOUT ROWID;

CREATE INDEX slow_poll_by_time ON slow_poll (process, last_at, is_slow);
CREATE INDEX slow_poll_by_start ON slow_poll (process, start_at) WHERE is_slow = 1;
-- The few that may still run.
CREATE INDEX slow_poll_unfinished ON slow_poll (process, task) WHERE length IS NULL;
CREATE INDEX slow_poll_by_length ON slow_poll (process, length) WHERE is_slow = 1;
CREATE INDEX slow_poll_by_task ON slow_poll (process, task, start_at) WHERE is_slow = 1;

CREATE TABLE sample (
    process         INTEGER NOT NULL,
    loop            INTEGER NOT NULL,
    worker          INTEGER NOT NULL,
    poll_started_at INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    task            INTEGER NOT NULL,
    stack           INTEGER NOT NULL,
    running         INTEGER NOT NULL, -- 0 unknown, 1 on CPU, 2 off CPU
    PRIMARY KEY (process, loop, worker, poll_started_at, at)
) WITHOUT ROWID;
