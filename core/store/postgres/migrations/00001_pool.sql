-- Times are microseconds since 1970 in UTC; 0 is no time. Documents are JSON, kept as
-- they were written: jsonb would put them in other words.

-- +goose Up
CREATE TABLE meta (
    key   text PRIMARY KEY,
    value text NOT NULL
);

-- What changes while a node lives: small rows, since every claim writes one.
CREATE TABLE nodes (
    id         text    COLLATE "C" PRIMARY KEY,
    seq        bigint  GENERATED ALWAYS AS IDENTITY, -- where racers start
    pool       text    COLLATE "C" NOT NULL,
    state      text    COLLATE "C" NOT NULL,
    reason     text    NOT NULL,
    suspect    boolean NOT NULL,
    allocation text    NOT NULL,
    attempt    text    NOT NULL,
    erases     bigint  NOT NULL,
    since      bigint  NOT NULL,
    version    bigint  NOT NULL,
    worth      text    COLLATE "C" NOT NULL -- as core.Hardware says it
) WITH (fillfactor = 70);

-- Candidates, the cheapest first. A claim takes a node out and writes nothing here.
CREATE INDEX nodes_available ON nodes (pool, worth, seq) WHERE state = 'Available';

-- What was declared and found: kept apart, so that a claim never copies it.
CREATE TABLE inventory (
    node     text COLLATE "C" PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    spec     text NOT NULL,
    hardware text NOT NULL
);

-- What no two nodes may share: identity keys, and the host and port of the BMC.
CREATE TABLE identities (
    key  text COLLATE "C" PRIMARY KEY,
    node text COLLATE "C" NOT NULL REFERENCES nodes (id) ON DELETE CASCADE
);
CREATE INDEX identities_by_node ON identities (node);

-- A lease outlives its node: were the same ID enrolled again, its generation
-- must still grow past every earlier worker's.
CREATE TABLE leases (
    node       text   COLLATE "C" PRIMARY KEY,
    holder     text   NOT NULL,
    generation bigint NOT NULL,
    expires    bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE allocations (
    id       text    COLLATE "C" PRIMARY KEY,
    seq      bigint  GENERATED ALWAYS AS IDENTITY,
    owner    text    COLLATE "C" NOT NULL,
    name     text    COLLATE "C" NOT NULL,
    pool     text    COLLATE "C" NOT NULL,
    state    text    COLLATE "C" NOT NULL,
    live     boolean NOT NULL, -- neither released nor expired
    reason   text    NOT NULL,
    node     text    COLLATE "C" NOT NULL,
    version  bigint  NOT NULL,
    created  bigint  NOT NULL,
    deadline bigint  NOT NULL,
    ended    bigint  NOT NULL,
    document text    NOT NULL -- request, order, moves, access
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX allocations_one_name ON allocations (owner, name) WHERE live;
-- OneOwner, held by the schema too.
CREATE UNIQUE INDEX allocations_one_owner ON allocations (node) WHERE live AND node <> '';
-- Those that ended stay for ever, and nobody looks for them by state.
CREATE INDEX allocations_by_state ON allocations (state, pool) WHERE live;

CREATE TABLE attempts (
    id       text COLLATE "C" PRIMARY KEY,
    seq      bigint GENERATED ALWAYS AS IDENTITY,
    document text NOT NULL
);

-- What numbers events, audit entries and marks; events.go says how.
CREATE SEQUENCE numbers;

CREATE TABLE events (
    seq        bigint PRIMARY KEY,
    tx         bigint NOT NULL, -- the ID of the transaction that wrote it; outcome.go says what for
    at         bigint NOT NULL,
    node       text   COLLATE "C" NOT NULL,
    allocation text   COLLATE "C" NOT NULL,
    attempt    text   NOT NULL,
    generation bigint NOT NULL,
    type       text   NOT NULL,
    before     text   NOT NULL,
    after      text   NOT NULL,
    trigger    text   NOT NULL,
    step       text   NOT NULL,
    message    text   NOT NULL,
    bytes      bigint NOT NULL,
    process    text   NOT NULL
);
CREATE INDEX events_by_node ON events (node, seq) WHERE node <> '';
CREATE INDEX events_by_allocation ON events (allocation, seq) WHERE allocation <> '';

CREATE TABLE pools (
    name     text COLLATE "C" PRIMARY KEY,
    document text NOT NULL
);

CREATE TABLE images (
    name     text COLLATE "C" PRIMARY KEY,
    document text NOT NULL
);

-- Who may come in through a server, and what they did.
CREATE TABLE tokens (
    hash     text COLLATE "C" PRIMARY KEY, -- SHA-256 of the token, hexadecimal
    document text NOT NULL
);

-- Numbered like events.
CREATE TABLE audit (
    seq      bigint PRIMARY KEY,
    tx       bigint NOT NULL,
    at       bigint NOT NULL,
    who      text   COLLATE "C" NOT NULL,
    document text   NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);

-- What a transaction leaves that tells of nothing else, so that it can be found out
-- whether it was committed. The later ones replace the earlier.
CREATE TABLE marks (
    seq bigint PRIMARY KEY,
    tx  bigint NOT NULL,
    at  bigint NOT NULL
);
