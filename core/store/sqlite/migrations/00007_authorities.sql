-- CAs of the pool, which its servers' certificates are signed with.

-- +goose Up
CREATE TABLE authorities (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;
