-- The books: what was produced, stored, dropped and lost.
CREATE TABLE ledger_entry (
    process  INTEGER NOT NULL,
    kind     INTEGER NOT NULL, -- 1 poll … 8 loop
    produced INTEGER NOT NULL, -- said by the agent
    stored   INTEGER NOT NULL, -- counted here, in the transaction that stored them
    dropped  INTEGER NOT NULL, -- said by the agent
    lost     INTEGER NOT NULL, -- counted here: evicted, malformed, disk full, rolled back
    PRIMARY KEY (process, kind)
) WITHOUT ROWID;

CREATE TABLE loss (
    id      INTEGER PRIMARY KEY,
    process INTEGER NOT NULL,
    kind    INTEGER,          -- NULL: anything
    cause   INTEGER NOT NULL, -- 1 ring_full … 9 unknown_tail
    count   INTEGER NOT NULL, -- 0: not known
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL
);

CREATE INDEX loss_by_time ON loss (process, to_at);
