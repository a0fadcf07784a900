-- What operators add to deploys, and their choices of it.

-- +goose Up
CREATE TABLE steps (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE profiles (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;
