-- What is true of the file as a whole: one row.
PRAGMA application_id = 0x6c6f6f70; -- 'loop': tells this file from other programs' databases

CREATE TABLE meta (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    epoch   BLOB    NOT NULL, -- 16 random bytes; another epoch means another file
    batches INTEGER NOT NULL, -- stored since the file was made
    events  INTEGER NOT NULL, -- likewise: records but polls, parks and wakes
    polls   INTEGER NOT NULL  -- likewise
);
INSERT INTO meta VALUES (1, randomblob(16), 0, 0, 0);
