-- Polls, parks and wakes, thousands to a row; the format is described in loopd-model, `segment`.
-- Instants inside the bytes count from the process's origin, those beside them are wall time.
CREATE TABLE segment (
    id         INTEGER PRIMARY KEY,
    process    INTEGER NOT NULL,
    kind       INTEGER NOT NULL, -- 1 poll, 2 park, 3 wake
    loop       INTEGER NOT NULL,
    worker     INTEGER NOT NULL,
    start_at   INTEGER NOT NULL, -- start of the earliest span
    end_at     INTEGER NOT NULL, -- end of the latest
    spans      INTEGER NOT NULL,
    max_length INTEGER NOT NULL,
    min_task   INTEGER NOT NULL,
    max_task   INTEGER NOT NULL,
    merged     INTEGER NOT NULL, -- 1: packed tightly, not to be touched again
    data       BLOB    NOT NULL
);

-- Holds every column by which a read skips segments. The end comes first: most reads want the
-- latest.
CREATE INDEX segment_by_time ON segment
    (process, kind, end_at, start_at, loop, worker, max_length, min_task, max_task, spans);
-- Holds all that merging looks at before it reads any bytes.
CREATE INDEX segment_unmerged ON segment
    (process, kind, loop, worker, start_at, end_at, spans) WHERE merged = 0;
CREATE INDEX segment_by_age ON segment (end_at);
