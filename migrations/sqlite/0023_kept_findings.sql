-- What rules found while a process ran, and which of it nobody wants to hear of.

-- One row for each subject of a rule; it opens when an analysis finds it, and resolves when one does no longer.
CREATE TABLE finding (
    process       INTEGER NOT NULL,
    rule          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    level         INTEGER NOT NULL, -- 1 info, 2 warning, 3 error
    score         INTEGER NOT NULL, -- 0 to 100
    harm          INTEGER NOT NULL,
    confidence    INTEGER NOT NULL, -- 1 possible, 2 likely, 3 certain
    title         TEXT NOT NULL,
    location      TEXT,
    occurrences   INTEGER NOT NULL, -- the most that one analysis saw
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    found_at      INTEGER NOT NULL, -- up to where the data went that the last analysis had which found it
    resolved_at   INTEGER,          -- the same of the first that did not, after it; NULL while open
    openings      INTEGER NOT NULL, -- how often it opened
    detail        TEXT NOT NULL,    -- JSON: evidence, why, fix, snippet
    PRIMARY KEY (process, rule, subject)
) WITHOUT ROWID;

-- Of all runs of one program.
CREATE TABLE finding_mute (
    app      TEXT NOT NULL,
    rule     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    muted_at INTEGER NOT NULL,
    PRIMARY KEY (app, rule, subject)
) WITHOUT ROWID;

DROP VIEW findings;
CREATE VIEW findings AS
SELECT f.process, f.rule, f.subject, f.first_seen_at, f.last_seen_at, f.harm AS harm_time,
       f.occurrences, f.title,
       CASE f.level WHEN 1 THEN 'info' WHEN 2 THEN 'warning' ELSE 'error' END AS level, f.score,
       CASE f.confidence WHEN 1 THEN 'possible' WHEN 2 THEN 'likely' ELSE 'certain' END AS confidence,
       f.location, f.resolved_at, f.openings, m.reason AS muted
FROM finding f
JOIN process p ON p.id = f.process
LEFT JOIN finding_mute m ON m.app = p.app AND m.rule = f.rule AND m.subject = f.subject;

-- Complaints of asyncio, grouped by check and line, are findings like others now: these are what they rest on.
