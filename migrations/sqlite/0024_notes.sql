-- What people write to times of a recording. It is kept for as long as the process that it is about.

CREATE TABLE note (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- no number is given twice
    process    INTEGER,          -- NULL: about all of them
    from_at    INTEGER NOT NULL,
    to_at      INTEGER NOT NULL, -- the same as from_at: about an instant
    text       TEXT NOT NULL,
    author     TEXT,             -- NULL: nobody said
    made_at    INTEGER NOT NULL,
    changed_at INTEGER           -- NULL: as it was made
);

CREATE INDEX note_by_process ON note (process, from_at);

CREATE VIEW notes AS
SELECT id AS note, process, from_at, to_at, text, author, made_at, changed_at FROM note;
