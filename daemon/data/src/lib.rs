//! Ingest, segments, the replay buffer and the mix of a cycle.
