-- What users query. Names and meanings stay; the tables below may change. `polls`, `parks` and
-- `wakes` unpack segments through `segment_spans`, a virtual table that loopd registers.
CREATE VIEW processes AS
SELECT id AS process, lower(hex(uuid)) AS id, app, app_version, host, pid, labels, agent,
       agent_version, CASE state WHEN 1 THEN 'live' WHEN 2 THEN 'lost' ELSE 'ended' END AS state,
       origin AS started_at, last_at, ended_at, slow_threshold, tasks_spawned
FROM process;

CREATE VIEW loops AS
SELECT process, loop, name, flavor, workers, opened_at, closed_at FROM loop;

CREATE VIEW workers AS
SELECT process, loop, worker, thread_name, thread_id, started_at, stopped_at FROM worker;

CREATE VIEW locations AS
SELECT process, location AS location_id, file, line, column, file || ':' || line AS location
FROM location;

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
       nullif(t.last_waker, 0) AS last_waker
FROM task t
JOIN process p ON p.id = t.process
LEFT JOIN name n ON n.process = t.process AND n.name = t.name
LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location
-- An end alone, of a task spawned before anybody watched, says nothing.
WHERE t.spawned_at IS NOT NULL OR t.polls > 0 OR t.started_at IS NOT NULL OR t.name IS NOT NULL
   OR t.wakes > 0;

CREATE VIEW polls AS
SELECT s.process, s.loop, s.worker, s.start_at, s.length, s.task,
       (SELECT l.file || ':' || l.line FROM task t
        JOIN location l ON l.process = t.process AND l.location = t.spawn_location
        WHERE t.process = s.process AND t.task = s.task) AS location
FROM segment_spans s WHERE s.kind = 1;

CREATE VIEW parks AS
SELECT process, loop, worker, start_at, length FROM segment_spans WHERE kind = 2;

CREATE VIEW wakes AS
SELECT process, loop, worker, start_at AS woken_at, length AS delay, task,
       nullif(by_task, 0) AS by_task, count
FROM segment_spans WHERE kind = 3;

CREATE VIEW slow AS
SELECT s.process, s.loop, s.worker, s.start_at, s.length, s.task,
       (SELECT l.file || ':' || l.line FROM task t
        JOIN location l ON l.process = t.process AND l.location = t.spawn_location
        WHERE t.process = s.process AND t.task = s.task) AS location,
       (SELECT count(*) FROM sample a
        WHERE a.process = s.process AND a.loop = s.loop AND a.worker = s.worker
          AND a.poll_started_at = s.start_at) AS samples
FROM slow_poll s WHERE s.is_slow = 1;

CREATE VIEW samples AS
SELECT process, loop, worker, poll_started_at, at, task, stack,
       CASE running WHEN 1 THEN 'on_cpu' WHEN 2 THEN 'off_cpu' END AS running
FROM sample;

CREATE VIEW stacks AS
SELECT process, stack, json_extract(frames, '$[0][0]') AS leaf, json_array_length(frames) AS depth
FROM stack;

CREATE VIEW frames AS
SELECT s.process, s.stack, f.key AS depth, json_extract(f.value, '$[0]') AS function,
       nullif(json_extract(f.value, '$[1]'), '') AS file,
       nullif(json_extract(f.value, '$[2]'), 0) AS line
FROM stack s, json_each(s.frames) f;

CREATE VIEW resources AS
SELECT r.process, r.resource, r.kind, nullif(r.name, '') AS name,
       l.file || ':' || l.line AS location, nullif(r.task, 0) AS task, r.opened_at, r.closed_at,
       CASE r.how WHEN 1 THEN 'closed' WHEN 2 THEN 'dropped' WHEN 3 THEN 'unclosed' END AS how
FROM resource r
LEFT JOIN location l ON l.process = r.process AND l.location = r.open_location
WHERE r.opened_at IS NOT NULL;

CREATE VIEW metrics AS
SELECT m.process, nullif(m.loop, 0) AS loop, iif(m.worker < 0, NULL, m.worker) AS worker, n.name,
       m.at, m.value
FROM metric m JOIN metric_name n ON n.id = m.name;

CREATE VIEW losses AS
SELECT process,
       CASE kind WHEN 1 THEN 'poll' WHEN 2 THEN 'park' WHEN 3 THEN 'wake' WHEN 4 THEN 'task'
                 WHEN 5 THEN 'resource' WHEN 6 THEN 'sample' WHEN 7 THEN 'metric'
                 WHEN 8 THEN 'loop' END AS kind,
       CASE cause WHEN 1 THEN 'ring_full' WHEN 2 THEN 'no_ring' WHEN 3 THEN 'window_evicted'
                  WHEN 4 THEN 'agent_limit' WHEN 5 THEN 'shutdown_deadline'
                  WHEN 6 THEN 'malformed' WHEN 7 THEN 'storage_full'
                  WHEN 8 THEN 'store_rollback' WHEN 9 THEN 'unknown_tail' END AS cause,
       count, from_at, to_at
FROM loss;

CREATE VIEW ledger AS
SELECT process,
       CASE kind WHEN 1 THEN 'poll' WHEN 2 THEN 'park' WHEN 3 THEN 'wake' WHEN 4 THEN 'task'
                 WHEN 5 THEN 'resource' WHEN 6 THEN 'sample' WHEN 7 THEN 'metric'
                 WHEN 8 THEN 'loop' END AS kind,
       produced, stored, dropped, lost
FROM ledger_entry;

CREATE VIEW tiles AS
SELECT process, loop, worker, level, tile, folded, length(cells) AS bytes FROM tile;
