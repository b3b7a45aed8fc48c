-- What was opened and must be closed.
CREATE TABLE resource (
    process       INTEGER NOT NULL,
    resource      INTEGER NOT NULL,
    kind          TEXT,
    name          TEXT,
    open_location INTEGER,
    task          INTEGER,
    opened_at     INTEGER,
    closed_at     INTEGER,
    how           INTEGER, -- 1 closed, 2 dropped, 3 unclosed
    PRIMARY KEY (process, resource)
) WITHOUT ROWID;

CREATE INDEX resource_by_open ON resource (process, opened_at);
CREATE INDEX resource_by_close ON resource (process, closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX resource_open ON resource (process, open_location, opened_at)
    WHERE closed_at IS NULL;
CREATE INDEX resource_by_task ON resource (process, task);
