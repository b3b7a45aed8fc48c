-- How many bytes each process has of what is large, for budgets. Kept by triggers, so that nothing that is
-- added or removed can be forgotten. A row costs some 64 bytes besides what is in it.
CREATE TABLE usage (
    process INTEGER NOT NULL,
    class   INTEGER NOT NULL, -- 1 polls, parks and wakes, 2 tasks, 3 tiles, 4 roll-ups
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (process, class)
) WITHOUT ROWID;

INSERT INTO usage
SELECT process, iif(kind = 4, 2, 1), sum(length(data) + 64) FROM segment GROUP BY 1, 2;
INSERT INTO usage SELECT process, 3, sum(length(cells) + 64) FROM tile GROUP BY 1;
INSERT INTO usage SELECT process, 4, sum(length(cells) + 64) FROM rollup GROUP BY 1;

CREATE TRIGGER segment_added AFTER INSERT ON segment BEGIN
    INSERT INTO usage VALUES (new.process, iif(new.kind = 4, 2, 1), length(new.data) + 64)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER segment_removed AFTER DELETE ON segment BEGIN
    UPDATE usage SET bytes = bytes - length(old.data) - 64
    WHERE process = old.process AND class = iif(old.kind = 4, 2, 1);
END;
CREATE TRIGGER tile_added AFTER INSERT ON tile BEGIN
    INSERT INTO usage VALUES (new.process, 3, length(new.cells) + 64)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER tile_removed AFTER DELETE ON tile BEGIN
    UPDATE usage SET bytes = bytes - length(old.cells) - 64 WHERE process = old.process AND class = 3;
END;
CREATE TRIGGER rollup_added AFTER INSERT ON rollup BEGIN
    INSERT INTO usage VALUES (new.process, 4, length(new.cells) + 64)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER rollup_removed AFTER DELETE ON rollup BEGIN
    UPDATE usage SET bytes = bytes - length(old.cells) - 64 WHERE process = old.process AND class = 4;
END;
