-- Tasks whose polls were counted (`TaskCounted`): what only single polls tell is not known of them.

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
            -- Polls were counted, and the length of none is known.
            WHEN t.max_poll_time = 0 AND t.busy_time > 0 THEN NULL
            ELSE t.max_poll_time END AS max_poll_time,
       iif(t.max_poll_time = 0 AND t.busy_time > 0, NULL, t.slow_polls) AS slow_polls, iif(t.wakes > 0, t.wakes, NULL) AS wakes,
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
