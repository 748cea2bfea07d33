//! Cycles, adapters and lineage in SQLite, and publishing.
