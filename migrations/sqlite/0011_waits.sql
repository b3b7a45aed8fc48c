-- Who waits for what, who held it, and how things stand with it.

-- Words that agents use over and over: operations, system calls, places in the kernel.
CREATE TABLE word (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

-- One row for each wait. Its beginning and its end may come in either order.
CREATE TABLE wait (
    process  INTEGER NOT NULL,
    wait     INTEGER NOT NULL,
    task     INTEGER,
    resource INTEGER,
    op       INTEGER, -- a word: lock, acquire, send …
    location INTEGER,
    amount   INTEGER, -- permits wanted; 0 where nothing is counted
    began_at INTEGER,
    ended_at INTEGER, -- NULL while it lasts
    how      INTEGER, -- 1 ready, 2 cancelled
    PRIMARY KEY (process, wait)
) WITHOUT ROWID;

CREATE INDEX wait_by_time ON wait (process, began_at);
CREATE INDEX wait_by_task ON wait (process, task, began_at);
CREATE INDEX wait_by_resource ON wait (process, resource, began_at);
-- Waits that end within one batch never enter it.
CREATE INDEX wait_pending ON wait (process, began_at) WHERE ended_at IS NULL;

-- Who held the resource when a wait began.
CREATE TABLE wait_holder (
    process  INTEGER NOT NULL,
    wait     INTEGER NOT NULL,
    place    INTEGER NOT NULL, -- from 0, as the agent listed them
    task     INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    location INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (process, wait, place)
) WITHOUT ROWID;

-- Holds that somebody waited for, or that took long. Rows come in order of time.
CREATE TABLE hold (
    process  INTEGER NOT NULL,
    resource INTEGER NOT NULL,
    task     INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    location INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    waits    INTEGER NOT NULL -- that began meanwhile
);

CREATE INDEX hold_by_resource ON hold (process, resource, ended_at);
CREATE INDEX hold_by_task ON hold (process, task, ended_at);
CREATE INDEX hold_by_holder ON hold (process, resource, task, since);
CREATE INDEX hold_by_time ON hold (process, ended_at);

ALTER TABLE resource ADD COLUMN stack INTEGER; -- the stack that opened it

-- The latest reading of each sort for every resource; NULL: never told.
CREATE TABLE resource_state (
    process     INTEGER NOT NULL,
    resource    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    depth       INTEGER,
    capacity    INTEGER,
    permits     INTEGER,
    waiters     INTEGER,
    senders     INTEGER,
    receivers   INTEGER,
    locked      INTEGER,
    acquired    INTEGER, -- this and the rest: running totals
    contended   INTEGER,
    waited_time INTEGER,
    held_time   INTEGER,
    sent        INTEGER,
    received    INTEGER,
    lagged      INTEGER,
    PRIMARY KEY (process, resource)
) WITHOUT ROWID;

-- The same as it was told, reading by reading. Rows come in order of time.
CREATE TABLE resource_reading (
    process     INTEGER NOT NULL,
    resource    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    depth       INTEGER,
    capacity    INTEGER,
    permits     INTEGER,
    waiters     INTEGER,
    senders     INTEGER,
    receivers   INTEGER,
    locked      INTEGER,
    acquired    INTEGER,
    contended   INTEGER,
    waited_time INTEGER,
    held_time   INTEGER,
    sent        INTEGER,
    received    INTEGER,
    lagged      INTEGER
);

CREATE INDEX resource_reading_by_time ON resource_reading (process, resource, at);
CREATE INDEX resource_reading_by_age ON resource_reading (process, at);

-- What may have taken the ends of waits. The unknown tail of a program is no such thing: the waits it
-- was caught in are those that lasted at the last that is known of it.
CREATE INDEX loss_of_waits ON loss (process, to_at)
    WHERE (kind IS NULL OR kind = 9) AND cause <> 9;
