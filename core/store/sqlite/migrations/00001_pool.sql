-- Times are microseconds since 1970 in UTC; 0 is no time. Documents are JSON.

-- +goose Up
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;

-- What changes while a node lives: small rows, since every claim writes one.
CREATE TABLE nodes (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    pool       TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    suspect    INTEGER NOT NULL,
    allocation TEXT    NOT NULL,
    attempt    TEXT    NOT NULL,
    erases     INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT;

-- Candidates: one pool, one state, in the order of seq, which ends every index.
CREATE INDEX nodes_by_state ON nodes (state, pool);

-- What was declared and found: kept apart, so that a claim never rewrites it.
CREATE TABLE inventory (
    seq      INTEGER PRIMARY KEY REFERENCES nodes (seq) ON DELETE CASCADE,
    spec     TEXT NOT NULL,
    hardware TEXT NOT NULL
) STRICT;

-- What no two nodes may share: identity keys, and the host and port of the BMC.
CREATE TABLE identities (
    key  TEXT PRIMARY KEY,
    node INTEGER NOT NULL REFERENCES nodes (seq) ON DELETE CASCADE
) WITHOUT ROWID, STRICT;
CREATE INDEX identities_by_node ON identities (node);

-- A lease outlives its node: were the same ID enrolled again, its generation
-- must still grow past every earlier worker's.
CREATE TABLE leases (
    node       TEXT PRIMARY KEY,
    holder     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    expires    INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE allocations (
    seq      INTEGER PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    owner    TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    pool     TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    live     INTEGER NOT NULL, -- neither released nor expired
    reason   TEXT    NOT NULL,
    node     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    document TEXT    NOT NULL  -- request, order, moves, access
) STRICT;
CREATE UNIQUE INDEX allocations_one_name ON allocations (owner, name) WHERE live = 1;
-- OneOwner, held by the schema too.
CREATE UNIQUE INDEX allocations_one_owner ON allocations (node) WHERE live = 1 AND node <> '';
-- Those that ended stay for ever, and nobody looks for them by state. The column
-- live is in it for those who look for all the others.
CREATE INDEX allocations_by_state ON allocations (live, state) WHERE live = 1;

CREATE TABLE attempts (
    seq      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
) STRICT;

-- Rows are never deleted, so seq grows for ever.
CREATE TABLE events (
    seq        INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    node       TEXT    NOT NULL,
    allocation TEXT    NOT NULL,
    attempt    TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    type       TEXT    NOT NULL,
    before     TEXT    NOT NULL,
    after      TEXT    NOT NULL,
    trigger    TEXT    NOT NULL,
    step       TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    process    TEXT    NOT NULL
) STRICT;
CREATE INDEX events_by_node ON events (node) WHERE node <> '';
CREATE INDEX events_by_allocation ON events (allocation) WHERE allocation <> '';

CREATE TABLE pools (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE images (
    name     TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;
