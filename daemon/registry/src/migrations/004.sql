-- What each target of publishing serves, and what it should. Changes of the champion go by their number in `promotions`; 0 is
-- the time before the first, and a NULL adapter the base model.
CREATE TABLE publications (
    target         TEXT PRIMARY KEY,
    place          TEXT NOT NULL,
    wished         INTEGER NOT NULL,
    wished_adapter TEXT REFERENCES adapters (id),
    served         INTEGER,
    served_adapter TEXT,
    since_ms       INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    next_ms        INTEGER,
    error          TEXT
) STRICT, WITHOUT ROWID;
