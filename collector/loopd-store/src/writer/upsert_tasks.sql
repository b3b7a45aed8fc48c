-- Tasks that were spawned, named, started or ended in this commit; with all they did meanwhile.
INSERT INTO task (process, task, kind, loop, spawn_location, parent, spawned_at, name, named_at,
    started_at, ended_at, outcome, polls, busy_time, max_poll_time, slow_polls, first_poll_at,
    last_poll_at, wakes, self_wakes, scheduled_time, last_waker, last_woken_at, last_poll_start,
    unwakeable_at)
SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19,
    c20, c21, c22, c23, c24
FROM packed_rows(?, ?) WHERE true
ON CONFLICT DO UPDATE SET
    kind = coalesce(kind, excluded.kind),
    loop = coalesce(loop, excluded.loop),
    spawn_location = coalesce(spawn_location, excluded.spawn_location),
    parent = coalesce(parent, excluded.parent),
    spawned_at = coalesce(spawned_at, excluded.spawned_at),
    name = CASE WHEN named_at IS NULL OR excluded.named_at > named_at
                THEN coalesce(excluded.name, name)
                WHEN excluded.named_at = named_at THEN max(name, excluded.name)
                ELSE name END,
    named_at = coalesce(max(named_at, excluded.named_at), named_at, excluded.named_at),
    started_at = coalesce(min(started_at, excluded.started_at), started_at, excluded.started_at),
    ended_at = coalesce(max(ended_at, excluded.ended_at), ended_at, excluded.ended_at),
    outcome = coalesce(max(outcome, excluded.outcome), outcome, excluded.outcome),
    polls = min(polls + excluded.polls, 1 << 62),
    busy_time = min(busy_time + excluded.busy_time, 1 << 62),
    max_poll_time = max(max_poll_time, excluded.max_poll_time),
    slow_polls = min(slow_polls + excluded.slow_polls, 1 << 62),
    first_poll_at = coalesce(min(first_poll_at, excluded.first_poll_at), first_poll_at,
                             excluded.first_poll_at),
    last_poll_at = coalesce(max(last_poll_at, excluded.last_poll_at), last_poll_at,
                            excluded.last_poll_at),
    wakes = min(wakes + excluded.wakes, 1 << 62),
    self_wakes = min(self_wakes + excluded.self_wakes, 1 << 62),
    scheduled_time = min(scheduled_time + excluded.scheduled_time, 1 << 62),
    last_waker = CASE WHEN last_woken_at IS NULL OR excluded.last_woken_at > last_woken_at
                      THEN coalesce(excluded.last_waker, last_waker)
                      WHEN excluded.last_woken_at = last_woken_at
                      THEN max(last_waker, excluded.last_waker)
                      ELSE last_waker END,
    last_woken_at = coalesce(max(last_woken_at, excluded.last_woken_at), last_woken_at,
                             excluded.last_woken_at),
    last_poll_start = coalesce(max(last_poll_start, excluded.last_poll_start), last_poll_start,
                               excluded.last_poll_start),
    unwakeable_at = coalesce(max(unwakeable_at, excluded.unwakeable_at), unwakeable_at,
                             excluded.unwakeable_at)
