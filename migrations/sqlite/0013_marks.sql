-- What the program itself says, what else is known of tasks and samples, and what was captured when.

-- Marks and traced events. Rows come in order of time.
CREATE TABLE mark (
    process  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    task     INTEGER NOT NULL,
    level    INTEGER NOT NULL, -- 0 a mark, 1 trace, 2 debug, 3 info, 4 warn, 5 error
    target   TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    fields   TEXT    NOT NULL, -- JSON: {key: value}
    location INTEGER NOT NULL
);

CREATE INDEX mark_by_time ON mark (process, at);
CREATE INDEX mark_by_task ON mark (process, task, at) WHERE task <> 0;

-- Spans of the program's own tracing that have closed. Rows come in order of time.
CREATE TABLE app_span (
    process   INTEGER NOT NULL,
    span      INTEGER NOT NULL,
    parent    INTEGER NOT NULL,
    task      INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    busy_time INTEGER NOT NULL,
    fields    TEXT    NOT NULL, -- JSON: {key: value}
    location  INTEGER NOT NULL
);

CREATE INDEX app_span_by_time ON app_span (process, closed_at);
CREATE INDEX app_span_by_task ON app_span (process, task, closed_at) WHERE task <> 0;

ALTER TABLE task ADD COLUMN last_poll_start INTEGER; -- start of its last poll
ALTER TABLE task ADD COLUMN unwakeable_at INTEGER;   -- nothing was left then that could wake it
ALTER TABLE task ADD COLUMN fields TEXT;             -- JSON: {key: value}

ALTER TABLE sample ADD COLUMN syscall INTEGER; -- a word; NULL: in none, or not known
ALTER TABLE sample ADD COLUMN wchan INTEGER;   -- a word

-- What was captured from when on. Rows come in order of time.
CREATE TABLE coverage_change (
    process  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    layers   TEXT    NOT NULL, -- JSON: [[layer, state, reason]]
    settings TEXT    NOT NULL  -- JSON: {name: value}
);

CREATE INDEX coverage_by_time ON coverage_change (process, at);
