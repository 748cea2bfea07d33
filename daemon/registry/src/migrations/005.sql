-- What came in last, whatever became of it: what drift is measured by.
CREATE INDEX samples_by_arrival ON samples (arrived_ms) WHERE held_out = 0;
