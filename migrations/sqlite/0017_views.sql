-- Views over tasks wherever they are, over roll-ups, and the places of polls.

-- Not for users: rows of tasks and records of those that have none.
CREATE VIEW any_task AS
SELECT process, task, kind, loop, spawn_location, parent, spawned_at, name, named_at, started_at,
       ended_at, outcome, polls, busy_time, max_poll_time, slow_polls, first_poll_at, last_poll_at, wakes,
       self_wakes, scheduled_time, last_waker, last_woken_at, last_poll_start, unwakeable_at, children, fields
FROM task
UNION ALL
SELECT process, task, kind, loop, spawn_location, parent, spawned_at, name, named_at, started_at,
       ended_at, outcome, polls, busy_time, max_poll_time, slow_polls, first_poll_at, last_poll_at, wakes,
       self_wakes, scheduled_time, last_waker, last_woken_at, last_poll_start, unwakeable_at, children, NULL
FROM task_records;

DROP VIEW tasks;
CREATE VIEW tasks AS
SELECT t.process, t.task, n.text AS name,
       CASE t.kind WHEN 0 THEN 'async' WHEN 1 THEN 'local' WHEN 2 THEN 'block_on'
                   WHEN 3 THEN 'blocking' END AS kind,
       CASE WHEN t.ended_at IS NULL THEN 'alive' ELSE 'ended' END AS state,
       CASE t.outcome WHEN 0 THEN 'unknown' WHEN 1 THEN 'completed' WHEN 2 THEN 'panicked'
                      WHEN 3 THEN 'cancelled' END AS outcome,
       l.file || ':' || l.line AS location, t.loop, t.parent, t.spawned_at, t.ended_at,
       max(0, coalesce(t.ended_at, p.last_at)
              - coalesce(t.spawned_at, t.first_poll_at, t.ended_at, p.last_at)) AS lifetime,
       -- A blocking job is one long poll.
       CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL THEN 1 ELSE t.polls END AS polls,
       CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL AND t.ended_at IS NOT NULL
            THEN max(0, t.ended_at - t.started_at) ELSE t.busy_time END AS busy_time,
       CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL AND t.ended_at IS NOT NULL
            THEN max(0, t.ended_at - t.started_at) ELSE t.max_poll_time END AS max_poll_time,
       t.slow_polls, iif(t.wakes > 0, t.wakes, NULL) AS wakes,
       iif(t.wakes > 0, t.self_wakes, NULL) AS self_wakes,
       iif(t.wakes > 0, t.scheduled_time, NULL) AS scheduled_time,
       nullif(t.last_waker, 0) AS last_waker, t.fields,
       -- A poll that began later refutes it.
       iif(t.ended_at IS NULL AND t.unwakeable_at IS NOT NULL
           AND t.unwakeable_at >= coalesce(t.last_poll_start, t.unwakeable_at), 1, 0) AS unwakeable,
       t.children
FROM any_task t
JOIN process p ON p.id = t.process
LEFT JOIN name n ON n.process = t.process AND n.name = t.name
LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location
-- An end alone, of a task spawned before anybody watched, says nothing.
WHERE t.spawned_at IS NOT NULL OR t.polls > 0 OR t.started_at IS NOT NULL OR t.name IS NOT NULL
   OR t.wakes > 0 OR t.fields IS NOT NULL;

DROP VIEW polls;
CREATE VIEW polls AS
SELECT process, loop, worker, start_at, length, task, location FROM segment_spans WHERE kind = 1;

CREATE VIEW rollups AS
SELECT r.process, r.step * 60000000000 AS start_at, l.file || ':' || l.line AS location, r.spawned,
       r.ended, r.panicked, r.cancelled, r.polls, r.busy_time, r.max_poll_time, r.p50, r.p90, r.p99,
       r.wakes, r.scheduled_time, r.wake_p50, r.wake_p99
FROM rollup_rows r
LEFT JOIN location l ON l.process = r.process AND l.location = r.location
WHERE r.level = 1;

CREATE VIEW hourly_rollups AS
SELECT r.process, r.step * 3600000000000 AS start_at, l.file || ':' || l.line AS location, r.spawned,
       r.ended, r.panicked, r.cancelled, r.polls, r.busy_time, r.max_poll_time, r.p50, r.p90, r.p99,
       r.wakes, r.scheduled_time, r.wake_p50, r.wake_p99
FROM rollup_rows r
LEFT JOIN location l ON l.process = r.process AND l.location = r.location
WHERE r.level = 2;

-- What no agent and no analysis tells yet: the names and columns are there, so that queries need not
-- change when one does.
CREATE VIEW callbacks AS
SELECT NULL AS process, NULL AS loop, NULL AS worker, NULL AS start_at, NULL AS length,
       NULL AS late_time, NULL AS kind, NULL AS location
WHERE false;

CREATE VIEW findings AS
SELECT NULL AS process, NULL AS rule, NULL AS subject, NULL AS first_seen_at, NULL AS last_seen_at,
       NULL AS harm_time, NULL AS occurrences, NULL AS title
WHERE false;
