-- The samples that a candidate learned which the gate refused. `counts` falls to 0 where somebody takes a sample back.
CREATE TABLE tries (
    id     BLOB NOT NULL REFERENCES samples (id),
    cycle  INTEGER NOT NULL REFERENCES cycles (id),
    counts INTEGER NOT NULL DEFAULT 1 CHECK (counts IN (0, 1)),
    PRIMARY KEY (id, cycle)
) STRICT, WITHOUT ROWID;
CREATE INDEX tries_by_cycle ON tries (cycle);
-- Whom people accepted as the anchor, each after the one before. NULL is the base model without an adapter.
CREATE TABLE pins (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    adapter TEXT REFERENCES adapters (id),
    reason  TEXT NOT NULL CHECK (reason IN ('hand', 'test')),
    cycle   INTEGER REFERENCES cycles (id),
    note    TEXT,
    CHECK ((reason = 'test') = (cycle IS NOT NULL))
) STRICT;
-- How the items of a domain's suite are scored, since it was first made.
CREATE TABLE suite_metrics (
    suite  TEXT PRIMARY KEY,
    metric TEXT NOT NULL,
    cycle  INTEGER NOT NULL REFERENCES cycles (id)
) STRICT, WITHOUT ROWID;
