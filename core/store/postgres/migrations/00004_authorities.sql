-- CAs of the pool, which its servers' certificates are signed with.

-- +goose Up
CREATE TABLE authorities (
    name     text COLLATE "C" PRIMARY KEY,
    document text NOT NULL
);
