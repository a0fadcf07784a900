-- How much a step has moved, in bytes; 0 where it moves nothing.

-- +goose Up
ALTER TABLE events ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
