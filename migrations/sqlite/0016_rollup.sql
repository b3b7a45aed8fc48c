-- What the tasks of each spawn location did in one step of time: 10 s (level 0), a minute (1), an hour
-- (2). Any number of rows to a step, which add up. As with tiles, a row with folded = 1 is also part of
-- a row one level up.
CREATE TABLE rollup (
    id      INTEGER PRIMARY KEY,
    process INTEGER NOT NULL,
    level   INTEGER NOT NULL,
    step    INTEGER NOT NULL, -- wall time / length of a step
    folded  INTEGER NOT NULL,
    cells   BLOB    NOT NULL  -- described in loopd-analysis, `rollup`
);

CREATE INDEX rollup_by_step ON rollup (process, level, step, folded);
CREATE INDEX rollup_unfolded ON rollup (process, level, step) WHERE folded = 0;

-- The longest polls, whether they have a row or not.
CREATE INDEX slow_poll_by_any_length ON slow_poll (process, length) WHERE length IS NOT NULL;
CREATE INDEX segment_by_length ON segment (process, max_length) WHERE kind = 1;

-- Polls and tasks grow old apart.
DROP INDEX segment_by_age;
CREATE INDEX segment_by_age ON segment (end_at) WHERE kind < 4;
CREATE INDEX segment_of_tasks_by_age ON segment (end_at) WHERE kind = 4;
