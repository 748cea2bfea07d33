-- Candidates that passed the gate and wait for a person's word, and that word.
CREATE TABLE holds (
    cycle       INTEGER PRIMARY KEY REFERENCES cycles (id),
    at_ms       INTEGER NOT NULL,
    approves    INTEGER CHECK (approves IN (0, 1)),
    reason      TEXT,
    answered_ms INTEGER,
    CHECK ((approves IS NULL) = (answered_ms IS NULL) AND (approves IS NULL) = (reason IS NULL))
) STRICT;
