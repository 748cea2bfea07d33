//! Stored samples, read back.

use std::collections::{BTreeMap, BTreeSet};

use perennial_data::segment;
use perennial_registry::SampleRecord;
use perennial_types::{Sample, SampleId};

use crate::state::StateDir;

/// The samples of these records, read from their segments.
///
/// # Errors
/// Where a segment cannot be read.
pub(crate) fn read_samples<'a>(
    state: &StateDir,
    records: impl IntoIterator<Item = &'a SampleRecord>,
) -> anyhow::Result<BTreeMap<SampleId, Sample>> {
    let mut wanted: BTreeMap<&str, BTreeSet<SampleId>> = BTreeMap::new();
    for record in records {
        wanted.entry(&record.segment).or_default().insert(record.id);
    }
    let mut samples = BTreeMap::new();
    for (path, ids) in wanted {
        let stored = segment::read_segment(&state.root().join(path), Some(&ids))?;
        samples.extend(stored.into_iter().map(|stored| (stored.sample.id, stored.sample)));
    }
    Ok(samples)
}
