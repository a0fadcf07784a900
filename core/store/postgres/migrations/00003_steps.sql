-- What operators add to deploys, and their choices of it.

-- +goose Up
CREATE TABLE steps (
    name     text COLLATE "C" PRIMARY KEY,
    document text NOT NULL
);

CREATE TABLE profiles (
    name     text COLLATE "C" PRIMARY KEY,
    document text NOT NULL
);
