-- When allocations end by themselves, and when their owners were last seen.

-- +goose Up
ALTER TABLE allocations ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX allocations_by_end ON allocations (until) WHERE live = 1 AND until > 0;

CREATE TABLE owners (
    name TEXT PRIMARY KEY,
    seen INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
