//! What the segments hold, beside what the catalogue says of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use perennial_data::segment::read_segment;
use perennial_registry::Registry;
use perennial_types::SampleId;

/// That every catalogued sample can be read, once, from the segment that the catalogue names, and that nothing else lies there. No
/// daemon may be running: one that was killed may have left a segment that the next start removes.
///
/// # Errors
/// The first sample that is lost, doubled or not known, or a segment that cannot be read.
pub fn segments_hold_the_catalogue(registry: &Registry, state: &Path) -> Result<()> {
    let mut stored: BTreeMap<SampleId, String> = BTreeMap::new();
    for path in segments(&state.join("segments"))? {
        let name = path.strip_prefix(state)?.to_string_lossy().into_owned();
        for found in read_segment(&path, None).with_context(|| format!("reading {name}"))? {
            let id = found.sample.id;
            if let Some(other) = stored.insert(id, name.clone()) {
                ensure!(false, "sample {id} is in {other} and in {name}");
            }
        }
    }
    let ids: Vec<SampleId> = stored.keys().copied().collect();
    let records = registry.sample_records(&ids)?;
    for record in &records {
        let found = &stored[&record.id];
        ensure!(*found == *record.segment, "sample {} is in {found}, not in {}", record.id, record.segment);
    }
    let catalogued: u64 = registry.sample_counts()?.iter().map(|count| count.count).sum();
    ensure!(
        records.len() == ids.len() && catalogued == ids.len() as u64,
        "segments hold {} samples, the catalogue has {catalogued} and knows {} of them",
        ids.len(),
        records.len()
    );
    Ok(())
}

/// Every segment, in the folders of their days.
fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for day in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        for file in fs::read_dir(day?.path())? {
            found.push(file?.path());
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    found.sort();
    Ok(found)
}
