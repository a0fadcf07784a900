-- Who may come in through a server, and what they did.

-- +goose Up
CREATE TABLE tokens (
    hash     TEXT PRIMARY KEY, -- SHA-256 of the token, hexadecimal
    document TEXT NOT NULL
) STRICT;

-- Rows are never deleted, so seq grows for ever.
CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    who      TEXT    NOT NULL,
    document TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
