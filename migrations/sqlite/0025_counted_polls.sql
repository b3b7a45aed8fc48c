-- Tasks whose polls were counted (`TaskCounted`): what only single polls tell is not known of them.

-- 1: the longest poll and the slow ones were known, and are not of all polls since. A task of which that is
-- so has a row of its own.
ALTER TABLE task ADD COLUMN are_lengths_unknown INTEGER NOT NULL DEFAULT 0;

DROP VIEW any_task;
CREATE VIEW any_task AS
SELECT process, task, kind, loop, spawn_location, parent, spawned_at, name, named_at, started_at,
       ended_at, outcome, polls, busy_time, max_poll_time, slow_polls, first_poll_at, last_poll_at, wakes,
       self_wakes, scheduled_time, last_waker, last_woken_at, last_poll_start, unwakeable_at, children, fields,
       are_lengths_unknown
FROM task
UNION ALL
SELECT process, task, kind, loop, spawn_location, parent, spawned_at, name, named_at, started_at,
       ended_at, outcome, polls, busy_time, max_poll_time, slow_polls, first_poll_at, last_poll_at, wakes,
       self_wakes, scheduled_time, last_waker, last_woken_at, last_poll_start, unwakeable_at, children, NULL, 0
FROM task_records;

DROP VIEW tasks;
CREATE VIEW tasks AS
SELECT t.process, t.task, n.text AS name,
       CASE t.kind WHEN 0 THEN 'async' WHEN 1 THEN 'local' WHEN 2 THEN 'block_on'
                   WHEN 3 THEN 'blocking' WHEN 4 THEN 'callback' END AS kind,
       CASE WHEN t.ended_at IS NULL THEN 'alive' ELSE 'ended' END AS state,
       CASE t.outcome WHEN 0 THEN 'unknown' WHEN 1 THEN 'completed' WHEN 2 THEN 'panicked'
                      WHEN 3 THEN 'cancelled' WHEN 4 THEN 'raised' WHEN 5 THEN 'destroyed'
                      END AS outcome,
       l.file || ':' || l.line AS location, t.loop, t.parent, t.spawned_at, t.ended_at,
       max(0, coalesce(t.ended_at, p.last_at)
              - coalesce(t.spawned_at, t.first_poll_at, t.ended_at, p.last_at)) AS lifetime,
       -- A blocking job is one long poll.
       CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL THEN 1 ELSE t.polls END AS polls,
       CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL AND t.ended_at IS NOT NULL
            THEN max(0, t.ended_at - t.started_at) ELSE t.busy_time END AS busy_time,
       CASE WHEN t.polls = 0 AND t.started_at IS NOT NULL AND t.ended_at IS NOT NULL
            THEN max(0, t.ended_at - t.started_at)
            -- Polls were counted, and the lengths of some are not known.
            WHEN t.are_lengths_unknown OR t.max_poll_time = 0 AND t.busy_time > 0 THEN NULL
            ELSE t.max_poll_time END AS max_poll_time,
       iif(t.are_lengths_unknown OR t.max_poll_time = 0 AND t.busy_time > 0, NULL, t.slow_polls) AS slow_polls,
       iif(t.wakes > 0, t.wakes, NULL) AS wakes,
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

DROP VIEW waits;
CREATE VIEW waits AS
SELECT w.process, w.wait, nullif(w.task, 0) AS task, nullif(w.resource, 0) AS resource, o.text AS op,
       l.file || ':' || l.line AS location, w.amount, w.began_at, w.ended_at,
       -- Where an end may have been lost, nobody knows what came after.
       max(0, coalesce(w.ended_at, min(coalesce(t.ended_at, p.last_at), coalesce(
           (SELECT min(x.to_at) FROM loss x INDEXED BY loss_of_waits WHERE x.process = w.process
            AND x.to_at >= w.began_at AND (x.kind IS NULL OR x.kind = 9) AND x.cause <> 9),
           t.ended_at, p.last_at))) - w.began_at) AS length,
       -- 0: it is over, and nobody knows how.
       CASE WHEN w.how = 1 THEN 'ready' WHEN w.how = 2 THEN 'cancelled' WHEN w.how = 0 THEN 'unfinished'
            WHEN p.state = 1 AND t.ended_at IS NULL AND (t.task IS NOT NULL OR w.task = 0)
                AND NOT EXISTS (SELECT 1 FROM loss x INDEXED BY loss_of_waits WHERE x.process = w.process
                    AND x.to_at >= w.began_at AND (x.kind IS NULL OR x.kind = 9) AND x.cause <> 9)
            THEN 'pending' ELSE 'unfinished' END AS state,
       (SELECT nullif(h.task, 0) FROM wait_holder h
        WHERE h.process = w.process AND h.wait = w.wait ORDER BY h.place LIMIT 1) AS holder,
       (SELECT count(*) FROM wait_holder h
        WHERE h.process = w.process AND h.wait = w.wait) AS holders
FROM wait w
JOIN process p ON p.id = w.process
LEFT JOIN task t ON t.process = w.process AND t.task = w.task
LEFT JOIN word o ON o.id = w.op
LEFT JOIN location l ON l.process = w.process AND l.location = w.location
WHERE w.began_at IS NOT NULL;
