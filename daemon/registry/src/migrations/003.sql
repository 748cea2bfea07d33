-- What a sample asks, by the fingerprint of its normalised question: copies stay on one side of the split. NULL in rows that
-- were stored before this was known; they are filled in from their segments.
ALTER TABLE samples ADD COLUMN question BLOB CHECK (length(question) = 32);
-- The cycle that kept a sample out of training, since a suite asks the same. Such a sample is neither fresh nor held out.
ALTER TABLE samples ADD COLUMN kept_out INTEGER REFERENCES cycles (id);
CREATE INDEX samples_by_question ON samples (question) WHERE question IS NOT NULL;
CREATE INDEX samples_without_question ON samples (id) WHERE question IS NULL;
CREATE INDEX kept_out_samples ON samples (kept_out) WHERE kept_out IS NOT NULL;
DROP INDEX fresh_samples;
CREATE INDEX fresh_samples ON samples (arrived_ms, id) WHERE held_out = 0 AND cycle IS NULL AND kept_out IS NULL;
