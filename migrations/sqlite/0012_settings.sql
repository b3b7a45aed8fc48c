-- What people ask agents to capture. Settings are JSON objects by name, as in {"record_polls": false,
-- "slow_threshold": 50000000}; lengths are nanoseconds, and what is not in one is not asked for.
CREATE TABLE setting (
    scope    INTEGER NOT NULL, -- 1 every program, 2 those of a name, 3 one run; a later one wins
    app      TEXT    NOT NULL, -- the name; empty for other scopes
    process  INTEGER NOT NULL, -- the run; 0 for other scopes
    settings TEXT    NOT NULL,
    PRIMARY KEY (scope, app, process)
) WITHOUT ROWID;

-- What an agent said is in force, and what its own configuration says. NULL: it did not say.
ALTER TABLE process ADD COLUMN in_force TEXT;
ALTER TABLE process ADD COLUMN configured TEXT;
