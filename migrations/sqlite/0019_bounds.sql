-- What lets every read end by index or by count, so that none costs more because the file is larger.

-- Slow polls are counted and added up without looking at their rows.
DROP INDEX slow_poll_by_start;
CREATE INDEX slow_poll_by_start ON slow_poll (process, start_at, last_at) WHERE is_slow = 1;
DROP INDEX slow_poll_by_task;
CREATE INDEX slow_poll_by_task ON slow_poll (process, task, start_at, last_at) WHERE is_slow = 1;
-- The one that may have begun longest before a range that it overlaps.
CREATE INDEX slow_poll_unfinished_by_length ON slow_poll (process, last_at - start_at)
    WHERE length IS NULL;

CREATE INDEX process_by_start ON process (origin);

-- Resources: what came and went holds all that counting by place looks at; what is open lies place by
-- place, and once more in the order of a list.
DROP INDEX resource_by_open;
CREATE INDEX resource_by_open ON resource (process, opened_at, kind, open_location);
DROP INDEX resource_by_close;
CREATE INDEX resource_by_close ON resource (process, closed_at, opened_at, kind, open_location)
    WHERE closed_at IS NOT NULL;
DROP INDEX resource_open;
CREATE INDEX resource_open ON resource (process, kind, open_location, opened_at)
    WHERE closed_at IS NULL;
CREATE INDEX resource_open_by_time ON resource (process, opened_at) WHERE closed_at IS NULL;
CREATE INDEX resource_unclosed ON resource (process, kind, open_location)
    WHERE closed_at IS NOT NULL AND how = 3;
DROP INDEX resource_by_task;
CREATE INDEX resource_by_task ON resource (process, task, opened_at);

-- The latest reading of one loop and worker, among however many of others.
CREATE INDEX metric_by_lane ON metric (process, name, loop, worker, at);

-- The latest marks of a level, without the text of the others.
DROP INDEX mark_by_time;
CREATE INDEX mark_by_time ON mark (process, at, level);
DROP INDEX mark_by_task;
CREATE INDEX mark_by_task ON mark (process, task, at, level) WHERE task <> 0;

-- Waits that last: of one task, for one resource. Those that end within one batch never enter these.
CREATE INDEX wait_pending_by_task ON wait (process, task, began_at) WHERE ended_at IS NULL;
CREATE INDEX wait_pending_by_resource ON wait (process, resource, began_at) WHERE ended_at IS NULL;

-- The one that may reach furthest back from its end.
CREATE INDEX loss_by_length ON loss (process, to_at - from_at);

-- And of segments.
CREATE INDEX segment_by_length ON segment (process, kind, end_at - start_at);

-- Slow polls of each process, those still running included. Kept by triggers, so that none that is
-- added, judged anew or removed can be forgotten.
CREATE TABLE slow_poll_count (
    process INTEGER PRIMARY KEY,
    polls   INTEGER NOT NULL
);

INSERT INTO slow_poll_count SELECT process, count(*) FROM slow_poll WHERE is_slow = 1 GROUP BY 1;

CREATE TRIGGER slow_poll_added AFTER INSERT ON slow_poll WHEN new.is_slow = 1 BEGIN
    INSERT INTO slow_poll_count VALUES (new.process, 1) ON CONFLICT DO UPDATE SET polls = polls + 1;
END;
CREATE TRIGGER slow_poll_judged AFTER UPDATE OF is_slow ON slow_poll
WHEN new.is_slow <> old.is_slow BEGIN
    INSERT INTO slow_poll_count VALUES (new.process, iif(new.is_slow = 1, 1, 0))
    ON CONFLICT DO UPDATE SET polls = polls + iif(new.is_slow = 1, 1, -1);
END;
CREATE TRIGGER slow_poll_removed AFTER DELETE ON slow_poll WHEN old.is_slow = 1 BEGIN
    UPDATE slow_poll_count SET polls = polls - 1 WHERE process = old.process;
END;

-- What was lost by kind and cause, as far as losses are kept. No sum is larger than 2^62, so that sums
-- can be added.
CREATE TABLE loss_sum (
    process INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    cause   INTEGER NOT NULL,
    losses  INTEGER NOT NULL, -- rows of `loss`
    count   INTEGER NOT NULL, -- records
    PRIMARY KEY (process, kind, cause)
) WITHOUT ROWID;

INSERT INTO loss_sum SELECT process, kind, cause, count(*), min(CAST(total(count) AS INTEGER), 1 << 62)
FROM loss WHERE kind IS NOT NULL GROUP BY 1, 2, 3;

CREATE TRIGGER loss_added AFTER INSERT ON loss WHEN new.kind IS NOT NULL BEGIN
    INSERT INTO loss_sum VALUES (new.process, new.kind, new.cause, 1, min(new.count, 1 << 62))
    ON CONFLICT DO UPDATE SET losses = losses + 1,
        count = min(count + excluded.count, 1 << 62);
END;
CREATE TRIGGER loss_removed AFTER DELETE ON loss WHEN old.kind IS NOT NULL BEGIN
    UPDATE loss_sum SET losses = losses - 1, count = max(0, count - min(old.count, 1 << 62))
    WHERE process = old.process AND kind = old.kind AND cause = old.cause;
    DELETE FROM loss_sum WHERE process = old.process AND kind = old.kind AND cause = old.cause
        AND losses <= 0;
END;
