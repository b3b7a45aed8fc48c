-- Readings. Rows come in order of time, so the oldest are those with the smallest rowid.
CREATE TABLE metric_name (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE metric (
    process INTEGER NOT NULL,
    name    INTEGER NOT NULL,
    loop    INTEGER NOT NULL, -- 0: of the process
    worker  INTEGER NOT NULL, -- -1: of no worker
    at      INTEGER NOT NULL,
    value   REAL    NOT NULL
);

CREATE INDEX metric_by_series ON metric (process, name, at);
