-- The timeline, pre-computed: 256 buckets of one lane and zoom level to a tile, and any number of
-- rows to a tile, which add up. A row with folded = 1 is also part of a row one level up; so a
-- level is all of its own rows, and those of lower levels that are not folded yet.
CREATE TABLE tile (
    id      INTEGER PRIMARY KEY,
    process INTEGER NOT NULL,
    level   INTEGER NOT NULL, -- buckets are 2^(20 + 2 * level) ns long
    tile    INTEGER NOT NULL, -- wall time / (256 * length of a bucket)
    loop    INTEGER NOT NULL,
    worker  INTEGER NOT NULL,
    folded  INTEGER NOT NULL,
    cells   BLOB    NOT NULL  -- described in loopd-analysis, `tiles`
);

CREATE INDEX tile_by_place ON tile (process, level, tile);
CREATE INDEX tile_unfolded ON tile (process, level, tile) WHERE folded = 0;
