-- How often a cycle was run since it last got further, what keeps it from going on, and whether somebody asked for its end.
ALTER TABLE cycles ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cycles ADD COLUMN progress TEXT;
ALTER TABLE cycles ADD COLUMN trouble TEXT;
ALTER TABLE cycles ADD COLUMN trouble_ms INTEGER;
ALTER TABLE cycles ADD COLUMN stuck_ms INTEGER;
ALTER TABLE cycles ADD COLUMN abort TEXT;
-- How to mend what made it fail.
ALTER TABLE cycles ADD COLUMN remedy TEXT;

-- Samples that nothing can be learned from, with the reason and the cycle that found it; NULL where the indexer did.
CREATE TABLE set_aside (
    id     BLOB PRIMARY KEY REFERENCES samples (id),
    cycle  INTEGER REFERENCES cycles (id),
    reason TEXT NOT NULL,
    at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX set_aside_by_cycle ON set_aside (cycle) WHERE cycle IS NOT NULL;
