-- Tasks that lived shortly and well are kept thousands to a row, in segments of kind 4 (the format is
-- described in loopd-model, `table`; the columns in loopd-store, `task_records`). A row of `task` is
-- a task that is alive, or one that somebody may look for: slow, long-lived, panicked, or referred to.
ALTER TABLE task ADD COLUMN children INTEGER NOT NULL DEFAULT 0; -- tasks that it spawned
ALTER TABLE task ADD COLUMN kept     INTEGER NOT NULL DEFAULT 0; -- 1: other rows refer to it

-- Tasks come and go; only those that ended are looked for by time.
DROP INDEX task_by_spawn;
CREATE INDEX task_by_spawn ON task (process, spawned_at, spawn_location)
    WHERE ended_at IS NOT NULL;

-- Tasks of a segment that were told more of later, and became rows.
CREATE TABLE task_void (
    segment INTEGER NOT NULL,
    task    INTEGER NOT NULL,
    PRIMARY KEY (segment, task)
) WITHOUT ROWID;

CREATE INDEX segment_by_task ON segment (process, max_task, min_task) WHERE kind = 4;

CREATE TRIGGER task_segment_removed AFTER DELETE ON segment WHEN old.kind = 4 BEGIN
    DELETE FROM task_void WHERE segment = old.id;
END;

UPDATE task SET kept = 1 WHERE fields IS NOT NULL
    OR EXISTS (SELECT 1 FROM wait w WHERE w.process = task.process AND w.task = task.task);
UPDATE task SET children = c.n
FROM (SELECT process, parent, count(*) AS n FROM task WHERE parent IS NOT NULL GROUP BY 1, 2) c
WHERE c.process = task.process AND c.parent = task.task;
