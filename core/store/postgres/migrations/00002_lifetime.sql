-- When allocations end by themselves, and when their owners were last seen.

-- +goose Up
ALTER TABLE allocations ADD COLUMN until bigint NOT NULL DEFAULT 0;
CREATE INDEX allocations_by_end ON allocations (until) WHERE live AND until > 0;

CREATE TABLE owners (
    name text   COLLATE "C" PRIMARY KEY,
    seen bigint NOT NULL
);
