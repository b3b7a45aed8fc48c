-- Runs of programs, their loops and workers, and what their events refer to.
CREATE TABLE process (
    id             INTEGER PRIMARY KEY,
    uuid           BLOB    NOT NULL UNIQUE, -- 16 bytes, given by the agent
    app            TEXT    NOT NULL,
    app_version    TEXT    NOT NULL,
    host           TEXT    NOT NULL,
    pid            INTEGER NOT NULL,
    labels         TEXT    NOT NULL,        -- JSON: {key: value}
    agent          TEXT    NOT NULL,
    agent_version  TEXT    NOT NULL,
    coverage       TEXT    NOT NULL,        -- JSON: [[layer, state, reason]]
    slow_threshold INTEGER NOT NULL,        -- nanoseconds
    origin         INTEGER NOT NULL,        -- wall time of the process's instant 0
    durable_seq    INTEGER NOT NULL,        -- every batch up to here is stored
    state          INTEGER NOT NULL,        -- 1 live, 2 lost, 3 ended
    last_at        INTEGER NOT NULL,        -- up to when telemetry is known
    ended_at       INTEGER,
    tasks_spawned  INTEGER NOT NULL DEFAULT 0,
    has_hole       INTEGER NOT NULL DEFAULT 0 -- batches are missing; the next totals tell how much
);

CREATE TABLE loop (
    process   INTEGER NOT NULL,
    loop      INTEGER NOT NULL,
    name      TEXT,
    flavor    TEXT,
    workers   INTEGER,
    opened_at INTEGER,
    closed_at INTEGER,
    PRIMARY KEY (process, loop)
) WITHOUT ROWID;

CREATE TABLE worker (
    process      INTEGER NOT NULL,
    loop         INTEGER NOT NULL,
    worker       INTEGER NOT NULL,
    thread_name  TEXT,
    thread_id    INTEGER,
    started_at   INTEGER,
    stopped_at   INTEGER,
    last_poll_at INTEGER, -- start of its latest finished poll
    PRIMARY KEY (process, loop, worker)
) WITHOUT ROWID;

CREATE TABLE name (
    process INTEGER NOT NULL,
    name    INTEGER NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (process, name)
) WITHOUT ROWID;

CREATE TABLE location (
    process  INTEGER NOT NULL,
    location INTEGER NOT NULL,
    file     TEXT    NOT NULL,
    line     INTEGER NOT NULL,
    column   INTEGER NOT NULL,
    PRIMARY KEY (process, location)
) WITHOUT ROWID;

CREATE TABLE stack (
    process INTEGER NOT NULL,
    stack   INTEGER NOT NULL,
    frames  TEXT    NOT NULL, -- JSON, leaf first: [[function, file, line, address]]
    PRIMARY KEY (process, stack)
) WITHOUT ROWID;
