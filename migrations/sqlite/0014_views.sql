-- What users query of waits, marks and what was captured; and the older views with what is new in
-- them at the end.
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
           AND t.unwakeable_at >= coalesce(t.last_poll_start, t.unwakeable_at), 1, 0) AS unwakeable
FROM task t
JOIN process p ON p.id = t.process
LEFT JOIN name n ON n.process = t.process AND n.name = t.name
LEFT JOIN location l ON l.process = t.process AND l.location = t.spawn_location
-- An end alone, of a task spawned before anybody watched, says nothing.
WHERE t.spawned_at IS NOT NULL OR t.polls > 0 OR t.started_at IS NOT NULL OR t.name IS NOT NULL
   OR t.wakes > 0 OR t.fields IS NOT NULL;

DROP VIEW samples;
CREATE VIEW samples AS
SELECT s.process, s.loop, s.worker, s.poll_started_at, s.at, s.task, s.stack,
       CASE s.running WHEN 1 THEN 'on_cpu' WHEN 2 THEN 'off_cpu' END AS running,
       (SELECT text FROM word WHERE id = s.syscall) AS syscall,
       (SELECT text FROM word WHERE id = s.wchan) AS wchan
FROM sample s;

DROP VIEW resources;
CREATE VIEW resources AS
SELECT r.process, r.resource, r.kind, nullif(r.name, '') AS name,
       l.file || ':' || l.line AS location, nullif(r.task, 0) AS task, r.opened_at, r.closed_at,
       CASE r.how WHEN 1 THEN 'closed' WHEN 2 THEN 'dropped' WHEN 3 THEN 'unclosed' END AS how,
       nullif(r.stack, 0) AS open_stack, s.depth, s.capacity, s.permits, s.waiters, s.senders,
       s.receivers, s.locked, s.acquired, s.contended, s.waited_time, s.held_time, s.sent,
       s.received, s.lagged, s.at AS state_at
FROM resource r
LEFT JOIN location l ON l.process = r.process AND l.location = r.open_location
LEFT JOIN resource_state s ON s.process = r.process AND s.resource = r.resource
WHERE r.opened_at IS NOT NULL;

CREATE VIEW resource_states AS
SELECT process, resource, at, depth, capacity, permits, waiters, senders, receivers, locked,
       acquired, contended, waited_time, held_time, sent, received, lagged
FROM resource_reading;

CREATE VIEW waits AS
SELECT w.process, w.wait, nullif(w.task, 0) AS task, nullif(w.resource, 0) AS resource, o.text AS op,
       l.file || ':' || l.line AS location, w.amount, w.began_at, w.ended_at,
       -- Where an end may have been lost, nobody knows what came after.
       max(0, coalesce(w.ended_at, min(coalesce(t.ended_at, p.last_at), coalesce(
           (SELECT min(x.to_at) FROM loss x INDEXED BY loss_of_waits WHERE x.process = w.process
            AND x.to_at >= w.began_at AND (x.kind IS NULL OR x.kind = 9) AND x.cause <> 9),
           t.ended_at, p.last_at))) - w.began_at) AS length,
       CASE WHEN w.how = 1 THEN 'ready' WHEN w.how = 2 THEN 'cancelled'
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

CREATE VIEW wait_holders AS
SELECT h.process, h.wait, nullif(h.task, 0) AS task, h.since AS since_at,
       l.file || ':' || l.line AS location, h.amount
FROM wait_holder h
LEFT JOIN location l ON l.process = h.process AND l.location = h.location;

CREATE VIEW holds AS
SELECT h.process, nullif(h.resource, 0) AS resource, nullif(h.task, 0) AS task, h.since AS since_at,
       h.ended_at, max(0, h.ended_at - h.since) AS length, l.file || ':' || l.line AS location,
       h.amount, h.waits
FROM hold h
LEFT JOIN location l ON l.process = h.process AND l.location = h.location;

CREATE VIEW marks AS
SELECT m.process, m.at, nullif(m.task, 0) AS task,
       CASE m.level WHEN 1 THEN 'trace' WHEN 2 THEN 'debug' WHEN 3 THEN 'info' WHEN 4 THEN 'warn'
                    WHEN 5 THEN 'error' END AS level,
       m.target, m.message, m.fields, l.file || ':' || l.line AS location
FROM mark m
LEFT JOIN location l ON l.process = m.process AND l.location = m.location;

CREATE VIEW app_spans AS
SELECT a.process, a.span, nullif(a.parent, 0) AS parent, nullif(a.task, 0) AS task, a.name,
       a.target, a.opened_at, a.closed_at, max(0, a.closed_at - a.opened_at) AS length,
       a.busy_time, a.fields, l.file || ':' || l.line AS location
FROM app_span a
LEFT JOIN location l ON l.process = a.process AND l.location = a.location;

CREATE VIEW coverage AS
SELECT c.process, c.at, json_extract(f.value, '$[0]') AS layer,
       json_extract(f.value, '$[1]') AS state, nullif(json_extract(f.value, '$[2]'), '') AS reason,
       c.settings
FROM coverage_change c, json_each(c.layers) f;

DROP VIEW losses;
CREATE VIEW losses AS
SELECT process,
       CASE kind WHEN 1 THEN 'poll' WHEN 2 THEN 'park' WHEN 3 THEN 'wake' WHEN 4 THEN 'task'
                 WHEN 5 THEN 'resource' WHEN 6 THEN 'sample' WHEN 7 THEN 'metric'
                 WHEN 8 THEN 'loop' WHEN 9 THEN 'wait' WHEN 10 THEN 'mark' END AS kind,
       CASE cause WHEN 1 THEN 'ring_full' WHEN 2 THEN 'no_ring' WHEN 3 THEN 'window_evicted'
                  WHEN 4 THEN 'agent_limit' WHEN 5 THEN 'shutdown_deadline'
                  WHEN 6 THEN 'malformed' WHEN 7 THEN 'storage_full'
                  WHEN 8 THEN 'store_rollback' WHEN 9 THEN 'unknown_tail' END AS cause,
       count, from_at, to_at
FROM loss;

DROP VIEW ledger;
CREATE VIEW ledger AS
SELECT process,
       CASE kind WHEN 1 THEN 'poll' WHEN 2 THEN 'park' WHEN 3 THEN 'wake' WHEN 4 THEN 'task'
                 WHEN 5 THEN 'resource' WHEN 6 THEN 'sample' WHEN 7 THEN 'metric'
                 WHEN 8 THEN 'loop' WHEN 9 THEN 'wait' WHEN 10 THEN 'mark' END AS kind,
       produced, stored, dropped, lost
FROM ledger_entry;
