-- The ingest ledger: one row per file or batch, named by the fingerprint of its bytes.
CREATE TABLE sources (
    fingerprint TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    stored      INTEGER NOT NULL,
    duplicates  INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    times_taken INTEGER NOT NULL,
    first_ms    INTEGER NOT NULL,
    last_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE segments (
    number      INTEGER PRIMARY KEY,
    path        TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE adapters (
    id         TEXT PRIMARY KEY,
    files      TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL CHECK (state IN ('candidate', 'champion', 'retired', 'rejected')),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_champion ON adapters (state) WHERE state = 'champion';

CREATE TABLE cycles (
    id          INTEGER PRIMARY KEY,
    reason      TEXT NOT NULL,
    config      TEXT NOT NULL,
    seed        INTEGER NOT NULL,
    champion    TEXT REFERENCES adapters (id),
    mix         TEXT,
    suites      TEXT,
    started_ms  INTEGER NOT NULL,
    outcome     TEXT CHECK (outcome IN ('promoted', 'rejected', 'failed', 'aborted')),
    explanation TEXT,
    finished_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX one_open_cycle ON cycles ((finished_ms IS NULL)) WHERE finished_ms IS NULL;

CREATE TABLE phases (
    cycle  INTEGER NOT NULL REFERENCES cycles (id),
    phase  INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 5),
    detail TEXT NOT NULL,
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (cycle, phase)
) STRICT, WITHOUT ROWID;

-- The lineage of what a cycle trained. Two cycles can train the same bytes, so this is not part of `adapters`.
CREATE TABLE candidates (
    cycle        INTEGER PRIMARY KEY REFERENCES cycles (id),
    adapter      TEXT NOT NULL REFERENCES adapters (id),
    parent       TEXT REFERENCES adapters (id),
    base         TEXT NOT NULL,
    mix          TEXT NOT NULL,
    config       TEXT NOT NULL,
    seed         INTEGER NOT NULL,
    code_version TEXT NOT NULL
) STRICT;
CREATE INDEX candidates_by_adapter ON candidates (adapter);

-- The gate's word, with the fingerprints of what it was given on.
CREATE TABLE decisions (
    cycle   INTEGER PRIMARY KEY REFERENCES candidates (cycle),
    passed  INTEGER NOT NULL CHECK (passed IN (0, 1)),
    files   TEXT NOT NULL,
    base    TEXT NOT NULL,
    mix     TEXT NOT NULL,
    suites  TEXT NOT NULL,
    reasons TEXT NOT NULL
) STRICT;

CREATE TABLE samples (
    id         BLOB PRIMARY KEY CHECK (length(id) = 32),
    segment    INTEGER NOT NULL REFERENCES segments (number),
    domain     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    held_out   INTEGER NOT NULL CHECK (held_out IN (0, 1)),
    arrived_ms INTEGER NOT NULL,
    indexed    INTEGER NOT NULL DEFAULT 0 CHECK (indexed IN (0, 1)),
    cycle      INTEGER REFERENCES cycles (id),
    CHECK (held_out = 0 OR (cycle IS NULL AND indexed = 0))
) STRICT, WITHOUT ROWID;
CREATE INDEX fresh_samples ON samples (arrived_ms, id) WHERE held_out = 0 AND cycle IS NULL;
CREATE INDEX unindexed_samples ON samples (arrived_ms, id) WHERE held_out = 0 AND indexed = 0;
CREATE INDEX held_out_samples ON samples (domain, id) WHERE held_out = 1;
CREATE INDEX consumed_samples ON samples (cycle) WHERE cycle IS NOT NULL;
CREATE INDEX samples_by_segment ON samples (segment);

-- Every change of the champion. NULL is the base model without an adapter.
CREATE TABLE promotions (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms        INTEGER NOT NULL,
    from_adapter TEXT REFERENCES adapters (id),
    to_adapter   TEXT REFERENCES adapters (id),
    reason       TEXT NOT NULL CHECK (reason IN ('passed', 'forced', 'rollback')),
    cycle        INTEGER REFERENCES cycles (id),
    note         TEXT,
    CHECK ((reason = 'passed') = (cycle IS NOT NULL)),
    CHECK (reason = 'rollback' OR to_adapter IS NOT NULL)
) STRICT;

CREATE TABLE champion (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    adapter TEXT REFERENCES adapters (id)
) STRICT;
INSERT INTO champion (one, adapter) VALUES (1, NULL);
