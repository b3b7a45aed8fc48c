-- Where tasks waited when somebody asked.

-- One row for each time that an agent was asked. Those that were never answered have no end.
CREATE TABLE task_dump (
    process  INTEGER NOT NULL,
    dump     INTEGER NOT NULL, -- from 1 on, in the order in which they were asked for
    began_at INTEGER NOT NULL, -- when it was asked for
    ended_at INTEGER,
    tasks    INTEGER,          -- how many the agent found; this and the rest come with the end
    left_out INTEGER,          -- how many of these it did not tell of
    reason   TEXT,             -- empty if all went well
    PRIMARY KEY (process, dump)
) WITHOUT ROWID;

CREATE INDEX task_dump_by_age ON task_dump (began_at);

-- One row for each task, or for each task that it awaits if these are several.
CREATE TABLE dumped_task (
    process     INTEGER NOT NULL,
    dump        INTEGER NOT NULL,
    task        INTEGER NOT NULL,
    awaits_task INTEGER NOT NULL, -- 0: what it awaits is no task
    at          INTEGER NOT NULL,
    stack       INTEGER NOT NULL, -- 0: not known
    awaits      INTEGER,          -- a word: Future, Lock …
    resource    INTEGER NOT NULL, -- 0: none that is known
    PRIMARY KEY (process, dump, task, awaits_task)
) WITHOUT ROWID;

CREATE VIEW task_dumps AS
SELECT d.process, d.dump, d.task, d.at, nullif(d.stack, 0) AS stack, w.text AS awaits,
       nullif(d.awaits_task, 0) AS awaits_task, nullif(d.resource, 0) AS resource
FROM dumped_task d LEFT JOIN word w ON w.id = d.awaits;
